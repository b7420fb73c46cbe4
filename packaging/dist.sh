#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# dist.sh OUTDIR: the source tarball and that of the crates it needs, of what is committed. The same
# commit gives the same bytes: names sorted, one owner, one date, no date in gzip's header.
set -eu
out=$1
cd "$(dirname "$0")/.."
mkdir -p "$out"
out=$(cd "$out" && pwd)
version=$(packaging/version.sh)
name=overlayroot-rs-$version
[ -z "$(git status --porcelain)" ] || echo "dist: what is not committed is not in it" >&2
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# the mode of git's files depends on a setting of the user's
git -c tar.umask=0022 archive --format=tar --prefix="$name/" HEAD > "$work/source.tar"
gzip -9 -n < "$work/source.tar" > "$out/$name.tar.gz"

# The crates belong to the commit, too, so its lock file counts and not that of the work tree.
tar -C "$work" -xf "$work/source.tar"
cd "$work/$name"
cargo vendor --quiet --locked --versioned-dirs vendor
# A quarter of it would be Windows. The lock file names the crate, so a shell of it stays.
for crate in vendor/windows-sys-*; do
    sum=$(sed -n 's/.*"package":"\([0-9a-f]*\)".*/\1/p' "$crate/.cargo-checksum.json")
    find "$crate" -mindepth 1 ! -name Cargo.toml -delete
    mkdir "$crate/src"
    : > "$crate/src/lib.rs"
    printf '{"files":{},"package":"%s"}' "$sum" > "$crate/.cargo-checksum.json"
done
cat > vendor/config.toml << 'END'

# appended to .cargo/config.toml
[source.crates-io]
replace-with = "vendored-sources"

[source.vendored-sources]
directory = "vendor"
END
tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
    --mtime="@$SOURCE_DATE_EPOCH" -cf - vendor | gzip -9 -n > "$out/$name-vendor.tar.gz"
ls -l "$out/$name.tar.gz" "$out/$name-vendor.tar.gz"

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# deb.sh: builds the package for Debian, looks at what is in it, installs it into minimal roots of Debian 12 and 13
# and purges it there. Root is needed. With VENDORED=1 it is also built from vendored crates, with an empty cargo home.
# What is missing is a failure: nothing here is skipped.
set -eu
cd "$(dirname "$0")/../.."
repo=$PWD
target=${CARGO_TARGET_DIR:-target}

fail() {
    echo "deb: FAILED: $*" >&2
    exit 1
}

# Runs a step; what it wrote is shown only where it fails.
step() {
    what=$1
    shift
    echo "deb: $what"
    "$@" > "$work/log" 2>&1 || { tail -n 60 "$work/log" >&2 && fail "$what"; }
}

for tool in cargo dpkg-buildpackage dpkg-deb dh lintian unshare chroot setpriv tar zstd git bash zsh fish; do
    command -v "$tool" > /dev/null || fail "$tool is missing; packaging/deps.sh package installs it"
done
[ "$(id -u)" = 0 ] || fail "root is needed"

# the places of tests/vm, as in its host.rs
cache=${OVERLAYROOT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overlayroot-rs}
base=${TMPDIR:-/tmp}
room=$(df -Pk /dev/shm 2> /dev/null | awk 'NR == 2 { print $4 }')
[ "${room:-0}" -lt 3000000 ] || base=/dev/shm
work=$(mktemp -d "$base/overlayroot-deb.XXXXXX")
# the mounts of a test are in a namespace that has ended then
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

version=$(sed -n '/^\[workspace\.package\]/,/^\[workspace\.dep/ s/^version = "\(.*\)"$/\1/p' Cargo.toml)
changelog=$(dpkg-parsechangelog -S Version)
[ "$version" = "$changelog" ] || fail "Cargo.toml has $version, debian/changelog $changelog"

# What this makes must not be one of an earlier run.
rm -f "$target"/deb/*.deb
step "the binaries" make build
step "the crates" packaging/fetch.sh
step "the package, without the network" unshare -n make deb
deb=$(realpath "$target"/deb/overlayroot-rs_"$version"_*.deb)
[ -f "$deb" ] || fail "no $deb"

step "lintian" lintian -i --fail-on warning --allow-root "$deb"

# All that `make install-files` puts there is in it, the binaries byte for byte, and besides that documents only.
echo "deb: what is in it"
dpkg-deb -x "$deb" "$work/has"
make -s install-files DESTDIR="$work/wants"
list() { (cd "$1" && find . ! -type d | sed 's/\.gz$//' | LC_ALL=C sort); }
list "$work/has" > "$work/has.list"
list "$work/wants" > "$work/wants.list"
LC_ALL=C comm -13 "$work/has.list" "$work/wants.list" > "$work/lacks"
[ ! -s "$work/lacks" ] || fail "it lacks $(cat "$work/lacks")"
LC_ALL=C comm -23 "$work/has.list" "$work/wants.list" |
    grep -v -e '^\./usr/share/doc/overlayroot-rs/' -e '^\./usr/share/lintian/overrides/overlayroot-rs$' -e '^\./usr/share/man/man8/overlay-[a-z]*\.8$' -e '^\./etc/kernel/preinst\.d/overlayroot-rs$' > "$work/more" || true
[ ! -s "$work/more" ] || fail "nobody said that it has $(cat "$work/more")"
for name in overlay-assemble overlay-commit overlay-populate overlay-thaw overlay-tries overlayctl; do
    cmp "$work/has/usr/bin/$name" "$work/wants/usr/bin/$name" || fail "$name is not what was built"
    ! grep -aqF -e "$PWD/" -e "${CARGO_HOME:-$HOME/.cargo}/" "$work/has/usr/bin/$name" || fail "$name says where it was built"
done
# where the kernel's packages look, and a file of the administrator's: dpkg asks before it replaces it
[ "$(cd "$work/has" && find etc -type f)" = etc/kernel/preinst.d/overlayroot-rs ] || fail "it has something else in /etc"
for file in crates.txt.gz copyright README.md docs/reference/storage-layout.md 50-overlayroot-rs.conf; do
    [ -f "$work/has/usr/share/doc/overlayroot-rs/$file" ] || fail "no $file"
done
# What each shell makes of its completions, found where it looks.
tests/packaging/completions.sh "$work/has"
# Each crate's licence is told, and those with an MIT side have its text.
zcat "$work/has/usr/share/doc/overlayroot-rs/crates.txt.gz" > "$work/crates"
grep -q '^rustix [0-9.]*: ' "$work/crates" || fail "crates.txt has no crates"
grep -q 'Permission is hereby granted' "$work/crates" || fail "crates.txt has no notices"

# Maintainer scripts make no initramfs and write no boot loader's configuration.
dpkg-deb -e "$deb" "$work/control"
for script in postinst postrm prerm; do
    sh -n "$work/control/$script"
    if grep -v -e '^ *#' -e '^ *echo ' "$work/control/$script" |
        grep -e 'update-initramfs' -e 'update-grub' -e 'overlayctl' -e '\<dracut ' -e 'systemctl.*enable'; then
        fail "$script does what nobody asked for"
    fi
done

# In the condition of step() a shell goes on after a failure, so each line says that it must not.
in_suite() {
    archive=$(find "$cache" -maxdepth 1 -name "root-$1-*.tar.zst" | head -n 1)
    mkdir -p "$work/$1/root" "$work/$1/out"
    tar --use-compress-program=zstd --xattrs --numeric-owner -xpf "$archive" -C "$work/$1/root" || return 1
    cp "$deb" "$work/$1/out/package.deb" || return 1
    cp tests/packaging/deb-in-root.sh dracut/50-overlayroot-rs.conf "$work/$1/out/" || return 1
    # no network, and the test's own mounts and processes
    unshare -m -p -f -n --kill-child --propagation private tests/vm/host/in-root.sh \
        "$work/$1/root" "$work/$1/out" sh /run/out/deb-in-root.sh "$version" || return 1
    rm -rf "${work:?}/$1"
}

for suite in bookworm trixie; do
    find "$cache" -maxdepth 1 -name "root-$suite-*.tar.zst" 2> /dev/null | grep -q . || step "the roots" make roots
    step "installed and purged on $suite" in_suite "$suite"
    grep '^in root: ' "$work/log"
done

if [ -n "${VENDORED:-}" ]; then
    mkdir "$work/build" "$work/home"
    git archive HEAD | tar -x -C "$work/build"
    cd "$work/build"
    step "the crates" cargo vendor --quiet --locked --versioned-dirs vendor
    profile=$(packaging/deb-flags.sh)
    # shellcheck disable=SC2086  # words or none
    step "from vendored crates, without the network" unshare -n env -u CARGO_TARGET_DIR CARGO_HOME="$work/home" \
        dpkg-buildpackage -b -us -uc $profile
    [ -f "$work/overlayroot-rs_${version}_$(dpkg --print-architecture).deb" ] || fail "no package from vendored crates"
    # Where it was built, and where the crates came from, is not to be seen in a byte of it.
    if [ -z "$(git -C "$repo" status --porcelain)" ]; then
        for name in overlay-assemble overlay-commit overlay-populate overlay-thaw overlay-tries overlayctl; do
            cmp "$work/has/usr/bin/$name" "debian/overlayroot-rs/usr/bin/$name" || fail "$name hangs on the directory"
        done
        echo "deb: the same binaries from another directory and from vendored crates"
    else
        echo "deb: what is not committed is not in the vendored build, so that the binaries are not compared"
    fi
fi
echo "deb: passed, $(stat -c %s "$deb") bytes"

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# sbom.sh OUTDIR: a list in CycloneDX for each binary, of the crates linked into it, of what is committed.
set -eu
out=$1
cd "$(dirname "$0")/.."
command -v cargo-cyclonedx > /dev/null || cargo install --locked cargo-cyclonedx
mkdir -p "$out"
out=$(cd "$out" && pwd)
version=$(packaging/version.sh)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# it writes beside each manifest, which is no place in the work tree
git archive HEAD | tar -C "$work" -xf -
(cd "$work" && cargo cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --target x86_64-unknown-linux-gnu)
for crate in overlayctl overlayroot-commit overlayroot-initramfs overlayroot-populate; do
    # the directory it was made in says nothing
    sed "s|$work|.|g" "$work/crates/$crate/$crate.cdx.json" > "$out/$crate-$version.cdx.json"
    ls -l "$out/$crate-$version.cdx.json"
done

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# cross.sh ARCH: the programs for Debian's arm64 or armhf, and so for a Raspberry Pi with 64 or 32 bit, into
# target/TRIPLE/release. Linked against Debian 11's libraries of that architecture, looked at, and run under qemu-user.
# Needs rustup, and packaging/deps.sh cross.
set -eu
arch=$1
cd "$(dirname "$0")/.."

fail() {
    echo "cross: $arch: $*" >&2
    exit 1
}

case $arch in
arm64) target=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu emulator=qemu-aarch64 machine=AArch64 ;;
armhf) target=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf emulator=qemu-arm machine=ARM ;;
*) fail "neither arm64 nor armhf" ;;
esac
emulator=$(command -v "$emulator-static" || command -v "$emulator") || fail "no qemu-user; packaging/deps.sh cross"
for tool in "$gnu-gcc" mmdebstrap readelf rustup; do
    command -v "$tool" > /dev/null || fail "$tool is missing; packaging/deps.sh cross"
done

# Beside the archives of the boot tests; an unfinished one has another name.
cache=${OVERLAYROOT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overlayroot-rs}
sysroot=$cache/libraries-bullseye-$arch
if [ ! -d "$sysroot" ]; then
    mkdir -p "$cache"
    rm -rf "$sysroot.tmp"
    # without security updates: the mirrors have their lists, and no longer their files
    mmdebstrap --quiet --variant=extract --architectures="$arch" --include=libc6-dev,libblkid-dev bullseye "$sysroot.tmp" \
        "deb ${OVERLAYROOT_MIRROR:-http://deb.debian.org/debian} bullseye main"
    # absolute links would lead to this machine's own libraries
    (cd "$sysroot.tmp" && find . -type l -lname '/*' | while read -r link; do
        ln -sfnr ".$(readlink "$link")" "$link"
    done)
    mv "$sysroot.tmp" "$sysroot"
fi

rustup target add "$target"
upper=$(echo "$target" | tr 'a-z-' 'A-Z_')
export OVERLAYROOT_SYSROOT="$sysroot" OVERLAYROOT_CC="$gnu-gcc" PKG_CONFIG_ALLOW_CROSS=1
export "CARGO_TARGET_${upper}_LINKER=$PWD/packaging/cc-sysroot.sh"
packaging/cargo.sh build --release --locked --target "$target"

out=${CARGO_TARGET_DIR:-target}/$target/release
for name in overlay-assemble overlay-populate overlayctl; do
    readelf -h "$out/$name" | grep -q "Machine: *$machine\$" || fail "$name is for another machine"
    [ "$arch" != armhf ] || readelf -h "$out/$name" | grep -q 'hard-float ABI' || fail "$name has the wrong float ABI"
    glibc=$(readelf -V "$out/$name" | grep -o 'GLIBC_[0-9.]*' | sort -V | tail -n 1)
    newest=$(printf '%s\n' "$glibc" GLIBC_2.31 | sort -V | tail -n 1)
    [ "$newest" = GLIBC_2.31 ] || fail "$name wants $glibc, Debian 11 has 2.31"
    "$emulator" -L "$sysroot" "$out/$name" --help > /dev/null || fail "$name does not run"
    echo "cross: $arch: $name, $(stat -c %s "$out/$name") bytes, runs, wants $glibc"
done

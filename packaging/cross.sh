#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# cross.sh ARCH: the package for Debian's arm64 or armhf, and so for a Raspberry Pi with 64 or 32 bit, into target/deb.
# Its programs are linked against Debian 11's libraries of that architecture, looked at, and run under qemu-user.
# Needs packaging/deps.sh cross. Rust's standard library for it is rustup's or Debian's (packaging/rust-std.sh).
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
for tool in "$gnu-gcc" "$gnu-objdump" dpkg-buildpackage dh mmdebstrap readelf; do
    command -v "$tool" > /dev/null || fail "$tool is missing; packaging/deps.sh cross"
done

# Beside the archives of the boot tests; an unfinished one has another name.
cache=${OVERLAYROOT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overlayroot-rs}
sysroot=$cache/libraries-bullseye-$arch-2
if [ ! -d "$sysroot" ]; then
    mkdir -p "$cache"
    rm -rf "$sysroot.tmp"
    # without security updates: the mirrors have their lists, and no longer their files. Nothing is run in it, so that
    # takes neither root nor a user namespace.
    mmdebstrap --quiet --mode=chrootless --variant=extract --architectures="$arch" --include=libc6-dev,libblkid-dev \
        --skip=essential/unlink,download/empty,cleanup/apt bullseye "$sysroot.tmp" \
        "deb ${OVERLAYROOT_MIRROR:-http://deb.debian.org/debian} bullseye main"
    # which package a program needs for which library, as these packages say
    for deb in "$sysroot.tmp"/var/cache/apt/archives/*.deb; do
        dpkg-deb --ctrl-tarfile "$deb" | tar -xOf - ./shlibs >> "$sysroot.tmp/shlibs" 2> /dev/null || true
        rm "$deb"
    done
    # absolute links would lead to this machine's own libraries
    (cd "$sysroot.tmp" && find . -type l -lname '/*' | while read -r link; do
        ln -sfnr ".$(readlink "$link")" "$link"
    done)
    mv "$sysroot.tmp" "$sysroot"
fi

OVERLAYROOT_RUST_STD=$(packaging/rust-std.sh "$arch" "$target") || fail "no standard library of Rust for it"
export OVERLAYROOT_RUST_STD
upper=$(echo "$target" | tr 'a-z-' 'A-Z_')
export OVERLAYROOT_SYSROOT="$sysroot" OVERLAYROOT_CC="$gnu-gcc" PKG_CONFIG_ALLOW_CROSS=1
export "CARGO_TARGET_${upper}_LINKER=$PWD/packaging/cc-sysroot.sh"
packaging/release.sh --locked --target "$target"

built=${CARGO_TARGET_DIR:-target}
out=$built/$target/release
for name in overlay-assemble overlay-commit overlay-populate overlay-thaw overlay-tries overlayctl; do
    readelf -h "$out/$name" | grep -q "Machine: *$machine\$" || fail "$name is for another machine"
    [ "$arch" != armhf ] || readelf -h "$out/$name" | grep -q 'hard-float ABI' || fail "$name has the wrong float ABI"
    glibc=$(readelf -V "$out/$name" | grep -o 'GLIBC_[0-9.]*' | sort -V | tail -n 1)
    newest=$(printf '%s\n' "$glibc" GLIBC_2.31 | sort -V | tail -n 1)
    [ "$newest" = GLIBC_2.31 ] || fail "$name wants $glibc, Debian 11 has 2.31"
    "$emulator" -L "$sysroot" "$out/$name" --help > /dev/null || fail "$name does not run"
    echo "cross: $arch: $name, $(stat -c %s "$out/$name") bytes, runs, wants $glibc"
done

if [ "$arch" = armhf ]; then
    # The tests of a machine where a word has 32 bits. It is qemu-user that fails the one left out: it tells a program
    # which is not there by an exit status.
    export "CARGO_TARGET_${upper}_RUNNER=$emulator -L $sysroot"
    packaging/cargo.sh test -q --locked --target "$target" -p overlayroot-core -p overlayroot-host -p overlayroot-diff
    packaging/cargo.sh test -q --locked --target "$target" -p overlayroot-linux -p overlayctl --lib --bins -- \
        --skip watched::tests::codes_and_output
fi

# overlayctl prints its completions, so one of this machine is needed, too.
OVERLAYROOT_RUST_STD="" packaging/cargo.sh build --release --locked -p overlayctl
OVERLAYCTL=$(realpath "$built/release/overlayctl")
export OVERLAYCTL
version=$(packaging/version.sh)
deb=$built/deb/overlayroot-rs_${version}_$arch.deb
rm -f "$deb"
# -d: Debian would look for the libraries of that architecture among this machine's packages
make deb DEB_FLAGS="-d -a$arch -tc"
[ -f "$deb" ] || fail "no $deb"
dpkg-deb -I "$deb" | grep -e ' Architecture: ' -e ' Depends: '
for library in libc6 libblkid1; do
    dpkg-deb -f "$deb" Depends | grep -qw "$library" || fail "the package does not depend on $library"
done

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Installs what building (deps.sh build), building and testing (deps.sh all), measuring, too (deps.sh bench),
# packages (deps.sh package), or building for ARM (deps.sh cross) and booting that (deps.sh arm) need.
set -eu

root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# The host's own initramfs generator is left alone: dracut runs only inside the test roots.
if command -v apt-get > /dev/null; then
    build="gcc libc6-dev libblkid-dev make"
    all="$build qemu-system-x86 seabios mmdebstrap debian-archive-keyring e2fsprogs xfsprogs btrfs-progs
        dosfstools mount util-linux fdisk squashfs-tools erofs-utils ovmf ipxe-qemu attr zstd gzip tar curl iproute2
        cpio kmod procps shellcheck man-db git openssh-client ca-certificates dpkg-dev debhelper fakeroot"
    command -v cargo > /dev/null || build="$build cargo rustc" all="$all cargo rustc rustfmt rust-clippy"
    wanted=$all
    [ "$1" = build ] && wanted=$build
    [ "$1" = bench ] && wanted="$all fio"
    [ "$1" = package ] && wanted="$all rpm rpmlint lintian"
    cross="$build mmdebstrap debian-archive-keyring gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf qemu-user-static
        dpkg-dev debhelper fakeroot"
    [ "$1" = cross ] && wanted=$cross
    [ "$1" = arm ] && wanted="$cross qemu-system-arm e2fsprogs zstd tar"
    missing=""
    for package in $wanted; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null || true)
        [ "$state" = installed ] || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        root apt-get update -q
        # shellcheck disable=SC2086  # a list of words
        root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
    fi
elif command -v dnf > /dev/null; then
    wanted="gcc libblkid-devel make cargo rust"
    [ "$1" = build ] || [ "$1" = package ] || wanted="$wanted rustfmt clippy qemu-system-x86-core mmdebstrap debian-keyring dpkg apt
        e2fsprogs xfsprogs btrfs-progs dosfstools util-linux squashfs-tools erofs-utils edk2-ovmf ipxe-roms-qemu attr
        zstd gzip tar curl iproute cpio kmod procps-ng ShellCheck man-db git openssh-clients dpkg-dev debhelper fakeroot"
    [ "$1" != bench ] || wanted="$wanted fio"
    case $1 in cross | arm) echo "deps: Fedora has no libraries for its cross compilers; use Debian" >&2 && exit 1 ;; esac
    [ "$1" != package ] || wanted="$wanted cargo-rpm-macros systemd-rpm-macros rpm-build rpmlint git tar gzip"
    # shellcheck disable=SC2086  # a list of words
    root dnf install -y $wanted
else
    echo "deps: neither apt-get nor dnf; see docs/dependencies.md for the list" >&2
    exit 1
fi

version=$(cargo --version | cut -d ' ' -f 2)
oldest=$(printf '%s\n' 1.85.0 "$version" | sort -V | head -n 1)
if [ "$oldest" != 1.85.0 ]; then
    echo "deps: cargo $version is older than 1.85; install a newer one with rustup (https://rustup.rs)" >&2
    exit 1
fi

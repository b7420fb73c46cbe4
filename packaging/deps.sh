#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# deps.sh WHAT: installs what is missing for building (build), the tarballs (dist), the package for Debian (deb),
# building and testing (all), measuring, too (bench), drawing (docs), tests of the packages (package), packages for ARM (cross) and
# booting one (arm). Asks neither sudo nor the network where nothing is missing.
set -eu
oldest=1.85.0

root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
new_enough() { [ -n "$1" ] && [ "$(printf '%s\n' "$oldest" "$1" | sort -V | head -n 1)" = "$oldest" ]; }
# build.sh builds as the user also under sudo; everything else calls the cargo of who calls
builder=
[ "$1" != build ] || builder=$(dirname "$0")/as-owner.sh
# shellcheck disable=SC2086  # may be several words, as in the Makefile
cargo_version() { $builder ${CARGO:-cargo} --version 2> /dev/null | cut -d ' ' -f 2; }
# what apt would install of a package, without the epoch and Debian's revision
candidate() { LC_ALL=C apt-cache policy "$1" | sed -n 's/^ *Candidate: *\([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p'; }

# A cargo that is new enough stays in use, whoever installed it. Debian 12 keeps the newer one under another name.
debian_rust() {
    for suffix in "" -web; do
        if new_enough "$(candidate "cargo$suffix")"; then
            echo "cargo$suffix rustc$suffix rustfmt$suffix"
            [ -n "$suffix" ] || echo "rust-clippy"
            return
        fi
    done
}

# The host's own initramfs generator is left alone: dracut runs only inside the test roots.
if command -v apt-get > /dev/null; then
    build="gcc libc6-dev libblkid-dev make"
    dist="$build git gzip tar ca-certificates"
    # dpkg-buildpackage asks for the first wherever a package is built
    deb="$build build-essential dpkg-dev debhelper fakeroot"
    all="$deb qemu-system-x86 seabios mmdebstrap debian-archive-keyring e2fsprogs xfsprogs btrfs-progs
        dosfstools mount util-linux fdisk squashfs-tools erofs-utils ovmf ipxe-qemu attr zstd gzip tar curl iproute2
        cpio kmod procps strace shellcheck secilc man-db git openssh-client openssl systemd
        ca-certificates"
    cross="$deb mmdebstrap debian-archive-keyring gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf qemu-user-static"
    case $1 in
    build) wanted=$build ;;
    dist) wanted=$dist ;;
    deb) wanted=$deb ;;
    all) wanted=$all ;;
    bench) wanted="$all fio strace" ;;
    docs) wanted=graphviz ;;
    package) wanted="$all rpm rpmlint lintian bash zsh fish" ;;
    cross) wanted=$cross ;;
    arm) wanted="$cross qemu-system-arm e2fsprogs zstd tar" ;;
    *) echo "deps: build, dist, deb, all, bench, docs, package, cross or arm, not $1" >&2 && exit 1 ;;
    esac
    installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]; }
    rust=yes
    ! new_enough "$(cargo_version)" || rust=
    # Debian's cargo comes without what `make lint` calls; rustup's has it
    case $1 in all | bench | package)
        if [ -z "$rust" ] && [ "$(command -v cargo)" = /usr/bin/cargo ]; then
            ! installed cargo-web || wanted="$wanted rustfmt-web"
            ! installed cargo || wanted="$wanted rustfmt rust-clippy"
        fi
        ;;
    esac
    missing=""
    for package in $wanted; do
        installed "$package" || missing="$missing $package"
    done
    if [ -n "$missing$rust" ]; then
        # apt-get waits for dpkg's lock where it is told to, and never for the one of its lists
        root flock /var/lib/apt/lists apt-get update -q
        [ -z "$rust" ] || rust=$(debian_rust)
        # shellcheck disable=SC2086  # lists of words
        [ -z "$missing$rust" ] || root env DEBIAN_FRONTEND=noninteractive \
            apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends $missing $rust
    fi
elif command -v dnf > /dev/null; then
    build="gcc libblkid-devel make"
    deb="$build dpkg-dev debhelper fakeroot"
    all="$deb qemu-system-x86-core mmdebstrap debian-keyring dpkg apt e2fsprogs xfsprogs btrfs-progs dosfstools
        util-linux squashfs-tools erofs-utils edk2-ovmf ipxe-roms-qemu attr zstd gzip tar curl iproute cpio kmod
        procps-ng strace ShellCheck secilc man-db git openssh-clients openssl systemd"
    rust="cargo rust"
    case $1 in
    build) wanted=$build ;;
    dist) wanted="$build git gzip tar" ;;
    deb) wanted=$deb ;;
    all) wanted=$all rust="$rust rustfmt clippy" ;;
    docs) wanted=graphviz rust= ;;
    bench) wanted="$all fio strace" rust="$rust rustfmt clippy" ;;
    package) wanted="$build cargo-rpm-macros systemd-rpm-macros rpm-build rpmlint git tar gzip bash zsh fish" ;;
    cross | arm) echo "deps: Fedora has no libraries for its cross compilers; use Debian" >&2 && exit 1 ;;
    *) echo "deps: build, dist, deb, all, bench, docs or package, not $1" >&2 && exit 1 ;;
    esac
    # the spec asks for the distribution's own
    [ "$1" = package ] || ! new_enough "$(cargo_version)" || rust=
    missing=""
    for package in $wanted $rust; do
        rpm -q --whatprovides "$package" > /dev/null 2>&1 || missing="$missing $package"
    done
    # shellcheck disable=SC2086  # a list of words
    [ -z "$missing" ] || root dnf install -y $missing
else
    echo "deps: neither apt-get nor dnf; see docs/internals/dependencies.md for the list" >&2
    exit 1
fi

version=$(cargo_version)
if ! new_enough "$version"; then
    echo "deps: ${version:+cargo $version is older than 1.85, and }no package here has cargo 1.85 or newer; install it with rustup (https://rustup.rs)" >&2
    exit 1
fi

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# rust-std.sh ARCH TARGET: Rust's standard library for Debian's ARCH, so that TARGET can be compiled for. rustup fetches
# its own. Beside Debian's compiler it is the same package in the same version for ARCH, unpacked into the cache: nothing
# is installed, and no other architecture added. Prints the directory that rustc is to be told of, or nothing.
set -eu
arch=$1 target=$2
cache=${OVERLAYROOT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overlayroot-rs}
sysroot=$(rustc --print sysroot)

# shellcheck disable=SC2144  # there is one, or none
[ ! -e "$sysroot/lib/rustlib/$target"/lib/libstd-*.rlib ] || exit 0
case $sysroot in
*/toolchains/*) exec rustup target add "$target" >&2 ;;
esac
host=$(rustc -vV | sed -n 's/^host: //p')
if ! package=$(dpkg -S "$sysroot/lib/rustlib/$host"/lib/libstd-*.rlib 2> /dev/null | cut -d : -f 1) || [ -z "$package" ]; then
    echo "rust-std: $sysroot is neither rustup's nor Debian's, and has nothing for $target; install rustup (https://rustup.rs)" >&2
    exit 1
fi
version=$(dpkg-query -W -f '${Version}' "$package")
dir=$cache/$package-$version-$arch
if [ ! -d "$dir" ]; then
    rm -rf "$dir.tmp"
    mkdir -p "$dir.tmp/lists/partial" "$dir.tmp/cache/archives/partial"
    # this machine's sources, seen by one of that architecture which has nothing installed
    : > "$dir.tmp/status"
    get() {
        (cd "$dir.tmp" && apt-get -q -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Dir::State::lists="$PWD/lists" \
            -o Dir::State::status="$PWD/status" -o Dir::Cache="$PWD/cache" -o Acquire::Languages=none \
            -o APT::Sandbox::User=root "$@" >&2)
    }
    # a source without that architecture, or with an index just being written, need not be the one
    get update || true
    get download "$package=$version" || {
        echo "rust-std: no $package $version for $arch in apt's sources; upgrade this machine's, or install rustup (https://rustup.rs)" >&2
        exit 1
    }
    dpkg-deb -x "$dir.tmp"/"$package"_*.deb "$dir.tmp/files"
    mv "$dir.tmp/files" "$dir"
    rm -rf "$dir.tmp"
fi
std=$(find "$dir" -path "*/rustlib/$target/lib/libstd-*.rlib" | head -n 1)
[ -n "$std" ] || { echo "rust-std: $package has no $target" >&2 && exit 1; }
dirname "$std"

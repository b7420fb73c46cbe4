#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# as-root.sh COMMAND...: as root, with the caller's cargo and home, and a target directory of its own. Whatever root
# would be the first to make in the caller's home is made as the caller before: crates, cargo's locks, and the cache's
# directory.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
cache=${OVERLAYROOT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overlayroot-rs}
target=${CARGO_TARGET_DIR:-$top/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
if [ "$(id -u)" != 0 ]; then
    "$top/packaging/fetch.sh"
    # cargo's locks are made by whoever is the first to need them
    for lock in .package-cache .package-cache-mutate; do : >> "${CARGO_HOME:-$HOME/.cargo}/$lock"; done
    mkdir -p "$cache" "$target"
    # shellcheck disable=SC2016  # the inner shell's
    # Debian's users have no sbin in theirs, and the test roots are made by what lies there
    exec sudo -E env PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" HOME="$HOME" CARGO_TARGET_DIR="$target/as-root" \
        sh -c 'mkdir -p "$CARGO_TARGET_DIR" && exec "$@"' as-root "$@"
fi
# sudo make in somebody's checkout: their target directory stays theirs
owner=$(stat -c %u "$top")
if [ "$owner" != 0 ] && [ -z "${CARGO_TARGET_DIR:-}" ]; then
    [ -d "$target" ] || install -d -o "$owner" -g "$(stat -c %g "$top")" "$target"
    export CARGO_TARGET_DIR="$target/as-root"
    mkdir -p "$CARGO_TARGET_DIR"
fi
exec "$@"

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# cc-sysroot.sh ARGS...: links against the C library and libblkid of $OVERLAYROOT_SYSROOT instead of this machine's.
# For cargo as a target's linker: what it makes runs wherever the C library is as new as the one there.
# $OVERLAYROOT_CC is the compiler where it is not cc, as for another architecture.
set -eu
root=${OVERLAYROOT_SYSROOT:?}
for dir in "$root"/usr/lib/*-linux-gnu*; do
    # Debian's compiler looks beside itself before it looks into a --sysroot
    set -- "-B$dir/" "-L$dir" "-L$root/lib/${dir##*/}" "$@"
done
exec "${OVERLAYROOT_CC:-cc}" --sysroot="$root" "$@"

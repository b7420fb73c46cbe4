#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# in-root.sh ROOT OUTDIR COMMAND...: runs COMMAND inside ROOT with OUTDIR at
# /run/out, and what LOWER= names at /run/rootfsbase. Call it in a private mount
# and pid namespace: the mounts end with it.
set -eu
root=$1 out=$2
shift 2
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
# read-only, so that nothing in the root can reach the host through them
for dir in dev sys; do
    mount --rbind "/$dir" "$dir"
    mount -o remount,bind,ro "$dir"
done
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=0755 tmpfs run
mkdir run/out
mount --bind "$out" run/out
if [ -n "${LOWER-}" ]; then
    mkdir run/rootfsbase
    mount --bind "$LOWER" run/rootfsbase
fi
exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# in-overlay.sh DISK OUTDIR COMMAND...: runs COMMAND where / is an overlay as ours over the file system of DISK, with OUTDIR at
# /run/out. Call it in a private mount and pid namespace: the mounts, and with them the loop device, end with it.
set -eu
disk=$1 out=$2
shift 2
root=$out/root
mkdir -p "$root"
mount -t tmpfs tmpfs "$root"
mkdir "$root/lower" "$root/upper" "$root/work" "$root/merged"
mount -o loop,ro "$disk" "$root/lower"
cd "$root"
mount -t overlay LiveOS_rootfs -o "lowerdir=lower,upperdir=upper,workdir=work" merged
cd merged
mount -t proc proc proc
for dir in dev sys; do
    mount --rbind "/$dir" "$dir"
    mount -o remount,bind,ro "$dir"
done
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=0755 tmpfs run
mkdir run/out run/rootfsbase
mount --bind "$out" run/out
mount --bind "$root/lower" run/rootfsbase
exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# in-overlay.sh DISK OUTDIR COMMAND...: in-root.sh where / is an overlay as ours over the file system of DISK. The loop
# device ends with the mounts.
set -eu
disk=$1 out=$2
shift 2
root=$out/root
mkdir -p "$root"
mount -t tmpfs tmpfs "$root"
mkdir "$root/lower" "$root/upper" "$root/work" "$root/merged"
mount -o loop,ro "$disk" "$root/lower"
mount -t overlay LiveOS_rootfs -o "lowerdir=$root/lower,upperdir=$root/upper,workdir=$root/work" "$root/merged"
LOWER=$root/lower exec "$(dirname "$0")/in-root.sh" "$root/merged" "$out" "$@"

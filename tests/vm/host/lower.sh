#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lower.sh IMG FSTYPE PLACE: prints the tree of the file system in IMG, which is changed by the
# replay of its journal, and checks it. What begins with PLACE is left out. Call it in a private
# mount namespace: the loop device goes with the last mount.
set -eu
img=$1 fstype=$2 place=$3
at=$(mktemp -d)
options=loop
# guests' disks are copies of one
[ "$fstype" != xfs ] || options=loop,nouuid
mount -t "$fstype" -o "$options" "$img" "$at"
status=0
(
    cd "$at"
    find . -path ".$place*" -prune -o -type d -printf '%p\t%y %m %U %G\t%T@\n' \
        -o -printf '%p\t%y %m %U %G %n %s %T@ %l\n'
    find . -path ".$place*" -prune -o -type f -exec sha256sum {} + | sed 's/^\([0-9a-f]*\)  \(.*\)/\2\tsha256 \1/'
) || status=$?
umount "$at"
rmdir "$at"
[ "$status" = 0 ] || exit "$status"
case $fstype in
ext4) e2fsck -fn "$img" >&2 ;;
xfs) xfs_repair -n "$img" >&2 ;;
btrfs) btrfs check --readonly "$img" >&2 ;;
esac

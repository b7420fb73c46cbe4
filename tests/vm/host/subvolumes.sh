#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# subvolumes.sh IMG DIR: makes the subvolumes root and home on the btrfs in IMG, and copies what is in DIR into
# root. Call it in a private mount namespace: the loop device goes with the last mount.
set -eu
img=$1 dir=$2
at=$(mktemp -d)
mount -o loop "$img" "$at"
status=0
{
    btrfs -q subvolume create "$at/root" &&
        btrfs -q subvolume create "$at/home" &&
        cp -a "$dir/." "$at/root/"
} || status=$?
umount "$at"
rmdir "$at"
exit "$status"

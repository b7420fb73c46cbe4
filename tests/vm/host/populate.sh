#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# populate.sh IMG DIR: copies what is in DIR onto the file system in IMG. Call
# it in a private mount namespace: the loop device goes with the last mount.
set -eu
img=$1 dir=$2
at=$(mktemp -d)
mount -o loop "$img" "$at"
status=0
cp -a "$dir/." "$at/" || status=$?
umount "$at"
rmdir "$at"
exit "$status"

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# uml.sh ROOT WORK IMAGES DIR COMMAND...: runs a user-mode Linux of ROOT, where its libraries are, with WORK and IMAGES
# at the same places in it; descriptor 3 and 4 are DIR/channel and DIR/files. Call it in private mount, pid and network
# namespaces: everything ends with them.
set -eu
root=$1 work=$2 images=$3 dir=$4
shift 4
mount --bind "$root" "$root"
cd "$root"
mkdir -p proc dev
mount -t proc proc proc
mount --rbind /dev dev
# the guest's RAM is a file there, and programs of the guest are mapped from it
mount -t tmpfs -o mode=1777 tmpfs dev/shm
for place in "$work" "$images"; do
    mkdir -p ".$place"
    mount --rbind "$place" ".$place"
done
exec 3>>"$dir/channel" 4>>"$dir/files"
# not exec: the first process of a namespace ignores what a panic ends the others with, and would spin for ever
# shellcheck disable=SC3045 # every shell of Debian and Fedora has it
ulimit -c 0
env -i HOME=/dev/shm TMPDIR=/dev/shm PATH=/usr/bin:/usr/sbin chroot . "$@"

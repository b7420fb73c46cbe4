#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# stage.sh ROOT IMG TOOLS COMMAND...: runs COMMAND where / is as in an initramfs that asks for an overlay: the host's
# programs, TOOLS at /tools, an empty /run, the ext4 of IMG read-only on /sysroot. ROOT is an empty directory. Call it in
# a private mount namespace: everything ends with it, the loop device, too.
set -eu
root=$1 img=$2 tools=$3
shift 3
mount -t tmpfs stage "$root"
cd "$root"
mkdir dev etc proc run sys sysroot tmp tools usr
# as few mounts as an initramfs has: how many there are is part of what is measured
for dir in dev proc sys usr; do
    mount --bind "/$dir" "$dir"
done
for dir in bin sbin lib lib64; do
    if [ -L "/$dir" ]; then
        cp -P "/$dir" .
    elif [ -d "/$dir" ]; then
        mkdir "$dir"
        mount --bind "/$dir" "$dir"
    fi
done
mount --bind "$tools" tools
mount -t tmpfs run run
# without it the dynamic linker looks for each library in every directory, as in no initramfs
cp /etc/ld.so.cache etc/
echo 'root=LABEL=root ro rd.overlay' >tmp/cmdline
mount --bind tmp/cmdline proc/cmdline
mount -o loop,ro "$img" sysroot
# it is then the unit's program, whose log is the journal's
exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C JOURNAL_STREAM=1:1 "$@"

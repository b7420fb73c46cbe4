#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# dracut sources this in the shutdown ramdisk, when the old root is unmounted; with `final` where it could not be
{
    sed 's/^/vm-shutdown: mount /' /proc/self/mountinfo
    for file in /sys/block/loop*/loop/backing_file; do
        [ ! -e "$file" ] || echo "vm-shutdown: loop $file"
    done
    echo "vm-shutdown: end"
} >/dev/console

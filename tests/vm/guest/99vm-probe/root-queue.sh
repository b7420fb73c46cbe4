#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# root=vmqueue: mounted in the initqueue, as NFS roots are; there is no sysroot.mount.
# shellcheck disable=SC2154 # dracut sets NEWROOT
if [ "$(getarg root=)" = vmqueue ] && [ -b /dev/disk/by-label/root ] && ! ismounted "$NEWROOT"; then
    mount -o ro /dev/disk/by-label/root "$NEWROOT"
fi
return 0

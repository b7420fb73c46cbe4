#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# root=vmhook: mounted by a mount hook, as 9p roots are; under systemd that is after
# initrd-root-fs.target and initrd-parse-etc.service.
# shellcheck disable=SC2154 # dracut sets NEWROOT
if [ "$(getarg root=)" = vmhook ] && ! ismounted "$NEWROOT"; then
    mount -o ro /dev/disk/by-label/root "$NEWROOT"
fi
return 0

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# /init of the server's own initramfs, run by busybox: its root is a read-only disk under a RAM overlay.
/bin/busybox mkdir -p /proc /sys /dev /lower /ram /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in virtio_pci virtio_blk overlay; do
    /bin/busybox modprobe -q $module
done
# its disks have the names that they have in QEMU
for disk in a b c; do
    [ ! -b /dev/ubd$disk ] || /bin/busybox ln -s ubd$disk /dev/vd$disk
done
/bin/busybox mount -t ext4 -o ro,noload /dev/vda /lower
/bin/busybox mount -t tmpfs tmpfs /ram
/bin/busybox mkdir /ram/upper /ram/work
# NFS 4 shows the way from / to the export, so / itself must be exportable
/bin/busybox mount -t overlay -o lowerdir=/lower,upperdir=/ram/upper,workdir=/ram/work,index=on,nfs_export=on overlay /root
# for the guide it is a machine like any other, with a unit that runs server.sh
init=/usr/lib/overlayroot-vm/server.sh
case " $(/bin/busybox cat /proc/cmdline) " in *" vm.server=systemd "*) init=/sbin/init ;; esac
exec /bin/busybox switch_root /root $init

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# the test agent in the initramfs, for boots which end in its emergency shell

check() {
    return 255
}

depends() {
    echo base
}

installkernel() {
    hostonly='' instmods virtio_console virtio_blk
}

install() {
    local dir=/usr/lib/overlayroot-vm
    inst_simple "$dir/agent.sh"
    inst_simple "$dir/lib.sh"
    # away from PATH: tools here must not hide that a hook needs them
    inst_binary "$(command -v jq)" "$dir/bin/jq"
    inst_binary "$(command -v busybox)" "$dir/bin/busybox"
    # shellcheck disable=SC2154 # dracut sets it
    inst_hook emergency 00 "$moddir/emergency.sh"
    inst_simple "$moddir/emergency.conf" /etc/systemd/system/emergency.service.d/vm-initrd.conf
    inst_simple /etc/udev/rules.d/zz-vm.rules
    # roots which no sysroot.mount mounts
    inst_hook cmdline 90 "$moddir/root.sh"
    inst_hook initqueue/settled 90 "$moddir/root-queue.sh"
    inst_hook initqueue/finished 90 "$moddir/root-queue-done.sh"
    inst_hook mount 90 "$moddir/root-mount.sh"
    inst_hook shutdown 90 "$moddir/shutdown.sh"
    # what dracut's systemd-sysext brings, which wants dm-verity, too: systemd 261 merges extensions into /sysroot
    local unit units="${systemdsystemunitdir:-/usr/lib/systemd/system}"
    for unit in systemd-sysext-sysroot.service systemd-confext-sysroot.service; do
        if dracut_module_included systemd && [[ -e $units/$unit ]]; then
            inst_multiple systemd-sysext systemd-confext "$units/$unit"
            # shellcheck disable=SC2154 # dracut sets it
            "${SYSTEMCTL:-systemctl}" -q --root "$initdir" add-wants initrd.target "$unit"
        fi
    done
}

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# arm.sh: Debian 12 for arm64 gets packaging/cross.sh's package by apt, makes an initramfs with its own dracut (both
# under qemu-user), and boots in QEMU, twice: with `rd.overlay` as the boot test ram/tmpfs asks, without it as
# off/off-by-default does. The agent of tests/vm judges in the guest. Root is needed. What is missing is a failure:
# nothing here is skipped.
set -eu
cd "$(dirname "$0")/../.."
guest=tests/vm/guest

fail() {
    echo "arm: FAILED: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "root is needed"
for tool in qemu-system-aarch64 qemu-aarch64-static mmdebstrap unshare chroot timeout tar zstd mke2fs debugfs; do
    command -v "$tool" > /dev/null || fail "$tool is missing; packaging/deps.sh cross installs it"
done

# Mounts end with this namespace.
if [ -z "${OVERLAYROOT_ARM_NS:-}" ]; then
    exec unshare --mount --propagation private env OVERLAYROOT_ARM_NS=1 sh "$0"
fi

# Runs a step and says how long it took; what it wrote is shown only where it fails.
step() {
    what=$1 began=$(date +%s)
    shift
    "$@" > "$work/log" 2>&1 || { tail -n 60 "$work/log" >&2 && fail "$what"; }
    echo "arm: $what, $(($(date +%s) - began)) s"
}

# the places of tests/vm, as in its host.rs
cache=${OVERLAYROOT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overlayroot-rs}
base=${TMPDIR:-/tmp}
room=$(df -Pk /dev/shm 2> /dev/null | awk 'NR == 2 { print $4 }')
[ "${room:-0}" -lt 3000000 ] || base=/dev/shm
work=$(mktemp -d "$base/overlayroot-arm.XXXXXX")
root=$work/root
binfmt=/proc/sys/fs/binfmt_misc
registered=

tidy() {
    [ -z "$registered" ] || echo -1 > "$binfmt/$registered"
    for dir in proc sys dev; do umount -l "$root/$dir" 2> /dev/null || true; done
    if [ -n "${KEEP:-}" ]; then echo "arm: kept $work" >&2; else rm -rf --one-file-system "$work"; fi
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM

# The kernel gives programs for arm64 to qemu-user; with F it has opened it before a chroot hides it.
[ -e "$binfmt/register" ] || mount -t binfmt_misc binfmt_misc "$binfmt" || fail "this kernel has no binfmt_misc"
if ! grep -qs '^flags: .*F' "$binfmt/qemu-aarch64"; then
    magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf '%s' ":overlayroot-arm:M::$magic:$mask:$(command -v qemu-aarch64-static):OCF" > "$binfmt/register"
    registered=overlayroot-arm
fi

step "the package (packaging/cross.sh)" packaging/cross.sh arm64
deb=${CARGO_TARGET_DIR:-target}/deb/overlayroot-rs_$(packaging/version.sh)_arm64.deb

packages=systemd-sysv,udev,kmod,dbus,linux-image-cloud-arm64,dracut-core,procps,busybox-static,zstd,e2fsprogs,jq
packages=$packages,util-linux,mount,libblkid1,fdisk
archive=$cache/root-arm64-bookworm-$(echo "$packages" | sha256sum | cut -c 1-16).tar.zst
make_root() {
    mkdir -p "$cache" || return 1
    # the kernel package must not build an initramfs
    INITRD=No mmdebstrap --mode=root --variant=apt --quiet --architectures=arm64 --include="$packages" --skip=check/qemu \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
        --dpkgopt=path-exclude=/usr/share/man/\* --dpkgopt=path-exclude=/usr/share/doc/\* \
        --dpkgopt=path-exclude=/usr/share/locale/\* --dpkgopt=force-unsafe-io \
        bookworm "$root" ${OVERLAYROOT_MIRROR:+"$OVERLAYROOT_MIRROR"} || return 1
    tar --use-compress-program='zstd -T0 -3' --xattrs --numeric-owner --one-file-system -cf "$archive.tmp" -C "$root" . || return 1
    rm -rf "$root" || return 1
    mv "$archive.tmp" "$archive"
}
[ -f "$archive" ] || step "a root of Debian 12 for arm64 (mmdebstrap)" make_root

furnish() {
    mkdir "$root" && tar --use-compress-program=zstd --xattrs --numeric-owner -xf "$archive" -C "$root" || return 1
    echo arm > "$root/etc/hostname"
    echo 'LABEL=root / ext4 defaults 0 1' > "$root/etc/fstab"
    for unit in getty@tty1 serial-getty@ttyAMA0 e2scrub_reap systemd-firstboot systemd-timesyncd; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit.service" || return 1
    done
    for unit in apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all fstrim; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit.timer" || return 1
    done
    install -D -m 755 -t "$root/usr/lib/overlayroot-vm" "$guest/agent.sh" || return 1
    install -m 644 -t "$root/usr/lib/overlayroot-vm" "$guest/lib.sh" || return 1
    install -D -m 644 -t "$root/etc/systemd/system" "$guest/overlayroot-vm.service" || return 1
    ln -sf ../overlayroot-vm.service "$root/etc/systemd/system/multi-user.target.wants/" || return 1
    cp "$deb" "$root/tmp/package.deb"
}
step "its files" furnish
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
step "apt-get install" chroot "$root" env DEBIAN_FRONTEND=noninteractive \
    sh -euc 'apt-get install -y -q --no-install-recommends /tmp/package.deb; rm /tmp/package.deb; overlayctl --version'
step "dracut" chroot "$root" dracut --force --no-hostonly --add overlayroot-rs --kver "$(ls "$root/usr/lib/modules")" \
    /boot/initrd.img
cp "$root"/boot/vmlinuz-* "$work/vmlinuz"
mv "$root/boot/initrd.img" "$work/initrd"
for dir in proc sys dev; do umount -l "$root/$dir"; done
mke2fs -q -t ext4 -L root -d "$root" "$work/disk" 900M

# boot NAME ARGUMENTS: what the case NAME of tests/vm asks holds in the guest
boot() {
    dir=$work/$1
    mkdir -p "$dir"
    { echo host && sed -n '/^holds = """$/,/^"""$/p' "tests/vm/cases/$1.toml" | sed '1d; $d' &&
        printf '%s\n' 'uname -m | grep -x aarch64' 'touch /written-in-the-guest'; } > "$dir/holds"
    truncate -s 64K "$dir/holds"
    # -nic none: nothing a guest sends can leave
    timeout 600 qemu-system-aarch64 -M virt -cpu cortex-a72 -accel tcg -smp 1 -m 1024 -nodefaults -nic none -display none \
        -no-reboot -kernel "$work/vmlinuz" -initrd "$work/initrd" -serial "file:$dir/console" \
        -append "root=LABEL=root ro console=ttyAMA0 nokaslr norandmaps mitigations=off audit=0 panic=-1 $2" \
        -device virtio-rng-pci -device virtio-serial-pci -chardev "file,id=verdict,path=$dir/verdict" \
        -device virtserialport,chardev=verdict,name=verdict \
        -drive "file=$work/disk,format=raw,if=none,id=disk" -device virtio-blk-pci,drive=disk \
        -drive "file=$dir/holds,format=raw,if=none,id=holds,readonly=on" \
        -device virtio-blk-pci,drive=holds,serial=holds || { tail -n 30 "$dir/console" && return 1; }
    cat "$dir/verdict"
    grep -q '^VERDICT PASS' "$dir/verdict" || { tail -n 30 "$dir/console" && return 1; }
}
written() { debugfs -R 'stat /written-in-the-guest' "$work/disk" 2> /dev/null | grep -q '^Inode:'; }

step "ram/tmpfs, booted" boot ram/tmpfs rd.overlay
! written || fail "a file written on the overlay is on the disk"
step "off/off-by-default, booted" boot off/off-by-default ""
# so the line above could have failed
written || fail "a file written without an overlay is not on the disk"

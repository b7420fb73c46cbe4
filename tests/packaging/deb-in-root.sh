#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# deb-in-root.sh VERSION: installs, uses, removes and purges /run/out/package.deb in a root that is thrown away after.
set -eu
version=$1
export DEBIAN_FRONTEND=noninteractive
drop_in=/etc/dracut.conf.d/50-overlayroot-rs.conf
set -- /usr/lib/modules/*
kernel=${1##*/}

fail() {
    echo "in root: FAILED: $*" >&2
    exit 1
}

# What is there; not what each run of apt and dracut leaves.
files() {
    find / \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/cache -o -path /var/log \
        -o -path /var/lib/apt -o -path '/var/lib/dpkg/*-old' -o -path '/var/lib/dpkg/lock*' \
        -o -path /var/lib/dpkg/triggers \) -prune -o -print | LC_ALL=C sort
}

# What the machine boots from; not what refuses kernels that would be lost.
boot() {
    find /boot /etc/default /etc/kernel -type f ! -path /etc/kernel/preinst.d/overlayroot-rs \
        -exec sha256sum {} + 2> /dev/null | LC_ALL=C sort
}

# There is no network here: all that it needs comes with Debian's own dracut.
apt() { apt-get -y -q "$@" 2>&1; }

# Makes an image with some of dracut's options, and lists it. What takes long and matters nothing is left out.
image() {
    dracut --force --no-hostonly --no-compress --kver "$kernel" \
        --omit "plymouth crypt lvm mdraid multipath iscsi nfs network network-manager systemd-networkd ifcfg hwdb" \
        "$@" /tmp/image > /tmp/dracut.log 2>&1 || { tail -n 20 /tmp/dracut.log && fail "dracut $*"; }
    lsinitrd /tmp/image > /tmp/image.list
    rm /tmp/image
}

# What the drop-in adds and omits.
# shellcheck disable=SC2016  # bash's
effect() { bash -uc '. "$1"; echo "+${add_dracutmodules-}-${omit_dracutmodules-}"' - /run/out/50-overlayroot-rs.conf; }

# Where the package is gone it has no effect, also none on dracut's own module.
without_us() {
    image
    ! grep -q -e overlay-assemble -e overlayroot-rs.service /tmp/image.list || fail "the module is still in the image"
    [ "$(effect)" = "+-" ] || fail "without the module the drop-in says $(effect)"
}

files > /tmp/before
boot > /tmp/boot.before

apt install --no-install-recommends /run/out/package.deb > /tmp/apt.log || { cat /tmp/apt.log && fail "apt install"; }
# apt's own lines name no dracut option
[ "$(grep -c '^overlayroot-rs: ' /tmp/apt.log)" = 1 ] || { cat /tmp/apt.log && fail "not one line of advice"; }
grep -q 'overlayctl enable --rebuild' /tmp/apt.log || fail "the line does not say how"
boot | cmp - /tmp/boot.before || fail "the installation changed what the machine boots from"
grep -q -e "overlayctl $version" <<- END || fail "overlayctl --version says something else"
	$(overlayctl --version)
END
overlay-assemble --help > /dev/null || fail "overlay-assemble does not run"
[ -e "$(readlink -f /usr/lib/systemd/system-shutdown/overlay-shutdown)" ] || fail "the link to overlay-shutdown is broken"
[ -e /usr/lib/systemd/system/multi-user.target.wants/overlayroot-rs-check.service ] || fail "a unit is not enabled"
echo "in root: dracut $(dpkg-query -W -f '${Version}' dracut-core), overlayctl runs"

image --add overlayroot-rs
for file in usr/bin/overlay-assemble systemd/system/initrd-root-fs.target.wants/overlayroot-rs.service; do
    grep -q "$file" /tmp/image.list || fail "the image lacks $file"
done
echo "in root: dracut --add makes an image with $(grep -c overlay- /tmp/image.list) entries of ours"

apt install --reinstall /run/out/package.deb > /tmp/apt.log || { cat /tmp/apt.log && fail "apt install --reinstall"; }
! grep '^overlayroot-rs: ' /tmp/apt.log || fail "an upgrade gives advice"

# What its user may have made.
cp /run/out/50-overlayroot-rs.conf "$drop_in"
image
grep -q usr/bin/overlay-assemble /tmp/image.list || fail "the drop-in does not bring the module"
[ "$(effect)" = "+ overlayroot-rs - overlayfs overlayfs-crypt " ] || fail "with the module the drop-in says $(effect)"
mkdir -p /etc/default/grub.d /etc/overlayroot-rs.conf.d /var/lib/overlayroot-rs/pull/1 /var/lib/upper
echo 'rd.overlay = tmpfs' | tee /etc/overlayroot-rs.conf > /etc/overlayroot-rs.conf.d/a.conf
echo '# of overlayctl enable' > /etc/default/grub.d/50-overlayroot-rs.cfg

apt remove overlayroot-rs > /tmp/apt.log || { cat /tmp/apt.log && fail "apt remove"; }
[ -e /etc/overlayroot-rs.conf ] || fail "a removal takes the configuration away"
cmp /run/out/50-overlayroot-rs.conf "$drop_in" || fail "a removal changes the drop-in"
without_us
# What the drop-in guards against: a name without the guard.
echo 'add_dracutmodules+=" overlayroot-rs "' > /etc/dracut.conf.d/99-own.conf
if dracut --force --kver "$kernel" /tmp/image > /dev/null 2>&1; then
    echo "in root: this dracut passes over a module that is not there"
fi
rm -f /etc/dracut.conf.d/99-own.conf /tmp/image

apt install --no-install-recommends /run/out/package.deb > /tmp/apt.log || { cat /tmp/apt.log && fail "installed again"; }
image
grep -q usr/bin/overlay-assemble /tmp/image.list || fail "the drop-in does not bring the module again"

apt purge overlayroot-rs > /tmp/apt.log || { cat /tmp/apt.log && fail "apt purge"; }
[ -d /var/lib/upper ] || fail "an upper was taken away"
rmdir /var/lib/upper
! grep -q '^/etc/default/grub.d$' /tmp/before && rmdir /etc/default/grub.d
# Debian 12's systemd has this empty directory as /lib/…, so dpkg believes that it was ours alone. Nobody misses it:
# systemd-shutdown looks whether it is there.
! grep -qx /usr/lib/systemd/system-shutdown /tmp/before || mkdir -p /usr/lib/systemd/system-shutdown
files > /tmp/after
diff /tmp/before /tmp/after || fail "the purge left files, or took some of others"
# also where its user has the drop-in under a name that the package does not know
cp /run/out/50-overlayroot-rs.conf /etc/dracut.conf.d/99-own.conf
without_us
echo "in root: nothing of it is left after a purge, and dracut makes its image"

# Who makes the initramfs is told where that is not dracut; of an empty package only the name counts.
for maker in initramfs-tools tiny-initramfs; do
    mkdir -p /tmp/maker/DEBIAN
    printf 'Package: %s\nVersion: 999\nArchitecture: all\nMaintainer: x <x@x.invalid>\nDescription: x\n' "$maker" \
        > /tmp/maker/DEBIAN/control
    # dracut conflicts with both
    { dpkg-deb -b /tmp/maker /tmp/maker.deb && dpkg --force-conflicts -i /tmp/maker.deb; } > /tmp/dpkg.log 2>&1 ||
        { cat /tmp/dpkg.log && fail "$maker is not installed"; }
    dpkg -i /run/out/package.deb > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log && fail "the package beside $maker"; }
    grep -q "^overlayroot-rs: not active: $maker makes the initramfs" /tmp/dpkg.log || fail "$maker is not told"
    grep -q "apt install dracut (it replaces $maker), then: overlayctl enable --rebuild" /tmp/dpkg.log || fail "nor the way"
    dpkg -P overlayroot-rs "$maker" > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log && fail "$maker purged"; }
done
echo "in root: beside another maker of the initramfs the package says so"

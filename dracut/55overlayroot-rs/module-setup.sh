#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dracut module overlayroot-rs: makes the root an overlay before switch-root.
# Works with dracut 049 to 111; only functions that all of them have.
# shellcheck disable=SC2154  # dracut sets moddir and initdir

check() {
    require_binaries overlay-assemble || return 1
    # opt-in: dracut --add overlayroot-rs, or the shipped dracut.conf.d file
    return 255
}

# What unpacks an archive into a new upper: "url" with curl and the network, "local" without, or nothing. As
# configured, and as overlayroot_populate="yes" or "local" in dracut.conf says.
_overlayroot_populate() {
    local _programs
    _programs=$(overlay-assemble --programs)
    # shellcheck disable=SC2154  # of dracut.conf
    if [[ $overlayroot_populate == "yes" || " $_programs " == *" curl "* ]]; then
        echo url
    elif [[ $overlayroot_populate == "local" || " $_programs " == *" overlay-populate "* ]]; then
        echo local
    fi
}

depends() {
    echo base
    # A dependency that can't be met would leave this module out, and the boot without an overlay.
    if [[ $(_overlayroot_populate) == "url" ]] && command -v curl > /dev/null; then
        echo url-lib
    fi
}

# What makes a loop-file or partition upper at its first boot: as configured, and as
# overlayroot_mkfs="ext4 xfs sfdisk" in dracut.conf says.
_overlayroot_mkfs() {
    local _fs
    overlay-assemble --programs
    # shellcheck disable=SC2154  # of dracut.conf
    for _fs in $overlayroot_mkfs; do
        case $_fs in
            sfdisk) echo "$_fs" ;;
            *) echo "mkfs.$_fs" ;;
        esac
    done
}

# Whether overlay-image takes the image of root=live:URL from livenet, to check and keep it: as configured, as
# overlayroot_image="yes" in dracut.conf says, or where curl is here for archives anyway.
_overlayroot_image() {
    # shellcheck disable=SC2154  # of dracut.conf
    [[ $overlayroot_image == "yes" || $(_overlayroot_populate) == "url" ]] ||
        [[ " $(overlay-assemble --programs) " == *" overlay-image "* ]]
}

installkernel() {
    # The upper may lie on a file system that is not mounted now, which hostonly would leave out. An ext4
    # that keeps quotas is not writable without quota_v2: where this host has one, or dracut.conf says so.
    local _kinds
    _kinds=$(overlay-assemble --file-systems)
    # shellcheck disable=SC2154  # of dracut.conf
    [[ $overlayroot_quota == "yes" ]] && _kinds+=" quota_v2"
    # The disk that keeps the image is that of another machine.
    _overlayroot_image && _kinds+=" ext4 xfs btrfs f2fs"
    # loop: a file made beforehand may be named on the command line after this image was made
    # shellcheck disable=SC2086  # a list of words
    hostonly='' instmods overlay loop $_kinds
}

# A drop-in of the unit.
_overlayroot_dropin() {
    # shellcheck disable=SC2154  # dracut 049 to 051 do not set the directory
    inst_simple "$moddir/$1" "${systemdsystemunitdir:-/usr/lib/systemd/system}/overlayroot-rs.service.d/$1"
}

install() {
    local _file

    # dracut takes the overlay that runs for the root: its rootfstype= and rootflags= would come before the boot
    # loader's. The modules that write them come after this one.
    if [[ $hostonly_cmdline == "yes" ]] && overlay-assemble --running; then
        dwarn "overlayroot-rs: the root is an overlay now, so the image has no arguments of its own (hostonly_cmdline)"
        hostonly_cmdline="no"
    fi

    inst_multiple overlay-assemble overlay-upper overlay-loop modprobe
    # e2undo takes back a repair that e2fsck gave up
    inst_multiple -o e2fsck e2undo
    # shellcheck disable=SC2046  # a list of words
    inst_multiple -o $(_overlayroot_mkfs)
    if [[ $(_overlayroot_populate) ]]; then
        inst_multiple overlay-populate
        if [[ $(_overlayroot_populate) == "url" ]] && ! dracut_module_included "url-lib"; then
            derror "overlayroot-rs: no curl or no network here, archives can be unpacked from the root only"
        fi
    fi
    # what overlayctl commit asks the next boot for, where dracut.conf says overlayroot_commit="yes"
    # shellcheck disable=SC2154  # of dracut.conf
    if [[ $overlayroot_commit == "yes" ]]; then
        inst_multiple overlay-commit
    fi
    # which upper overlayctl uppers use asked for: overlayroot_tries="yes"
    # shellcheck disable=SC2154  # of dracut.conf
    if [[ $overlayroot_tries == "yes" ]]; then
        inst_multiple overlay-tries
    fi
    # whether overlayctl thaw asked for a boot without the overlay: overlayroot_thaw="yes"
    # shellcheck disable=SC2154  # of dracut.conf
    if [[ $overlayroot_thaw == "yes" ]]; then
        inst_multiple overlay-thaw
    fi
    if _overlayroot_image && dracut_module_included "livenet"; then
        inst_multiple overlay-image
        # what dracut's netroot looks for in its PATH
        _file=$(command -v overlay-image)
        ln -sf overlay-image "$initdir${_file%/*}/overlayimageroot"
        # behind livenet (29), before the networks look at netroot= (99)
        inst_hook cmdline 35 "$moddir/image.sh"
        inst_hook initqueue/timeout 35 "$moddir/image-late.sh"
    elif [[ $overlayroot_image == "yes" ]]; then
        derror "overlayroot-rs: overlayroot_image=yes, and dracut's module livenet is not here: no image is kept"
    fi
    [[ -f "${dracutsysrootdir-}/etc/mke2fs.conf" ]] && inst_simple /etc/mke2fs.conf

    for _file in /etc/overlayroot-rs.conf /etc/overlayroot-rs.conf.d/*.conf; do
        # inst_simple takes the host's copy; dracut without --sysroot has an empty $dracutsysrootdir
        [[ -f "${dracutsysrootdir-}$_file" ]] && inst_simple "$_file"
    done

    # Shell initrds, and systemd initrds whose root is mounted late. 05: before /usr (50) and before
    # anything writes into the root; the stock overlayfs module, where present, has 00 and 10.
    inst_hook pre-pivot 05 "$moddir/assemble.sh"
    # Before the stock module's pre-mount hook, in both kinds of initrd.
    inst_hook cmdline 05 "$moddir/stand-down.sh"

    # dmsquash-live's own hooks have 01. Under systemd its sysroot.mount mounts the image.
    if dracut_module_included "dmsquash-live"; then
        if dracut_module_included "systemd"; then
            inst_hook pre-mount 05 "$moddir/prepare-live.sh"
        else
            inst_hook mount 95 "$moddir/mount-live.sh"
        fi
    fi

    # Before device mapper (25) and RAID (30) give back what the root lies on.
    inst_hook shutdown 05 "$moddir/take-apart.sh"

    if dracut_module_included "systemd"; then
        inst_simple "$moddir/overlayroot-rs.service" \
            "${systemdsystemunitdir:-/usr/lib/systemd/system}/overlayroot-rs.service"
        # thaw.conf is read first: a thawed boot is no try
        # shellcheck disable=SC2154  # of dracut.conf
        if [[ $overlayroot_thaw == "yes" ]]; then
            _overlayroot_dropin thaw.conf
        fi
        # shellcheck disable=SC2154  # of dracut.conf
        if [[ $overlayroot_tries == "yes" ]]; then
            _overlayroot_dropin tries.conf
        fi
        # dracut 049 to 051 do not set it
        "${SYSTEMCTL:-systemctl}" -q --root "$initdir" add-wants initrd-root-fs.target overlayroot-rs.service
    fi
    dracut_need_initqueue
}

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# agent.sh STAGE: runs the lines the harness left on a disk, writes what failed
# and the verdict to a port of the host, and powers off. STAGE is host, emergency
# (before the initramfs's emergency shell) or host-emergency.
set -u
stage=$1
home=/usr/lib/overlayroot-vm
export LC_ALL=C
temporary=/run/overlayroot-vm
if [ -x $home/bin/busybox ]; then
    # links in /run: systemd keeps the rest of its initramfs read-only; links work
    # even where /run is noexec
    $home/bin/busybox mkdir -p $temporary/bin
    $home/bin/busybox --install -s $temporary/bin
    PATH=$temporary/bin:$home/bin:$PATH
fi
# a hook of a shell initrd may have a PATH which is not exported
export PATH
mkdir -p $temporary

# by sysfs: in an emergency udev may be gone
by_sysfs() { # GLOB ATTRIBUTE VALUE: prints the device's name
    for dir in $1; do
        if [ "$(cat "$dir/$2" 2>/dev/null)" = "$3" ]; then
            echo "${dir##*/}"
            return 0
        fi
    done
    return 1
}

if grep -q 'User Mode Linux' /proc/cpuinfo; then
    # a line of its own and the last of its disks
    port=ttyS1 disk=ubdp
    # a terminal would put a carriage return before each newline
    stty -F /dev/$port raw -echo
else
    port=$(by_sysfs '/sys/class/virtio-ports/*' name verdict)
    disk=$(by_sysfs '/sys/block/vd*' serial holds)
fi
if [ ! -c "/dev/$port" ]; then
    echo "overlayroot-vm: no port to the host: no verdict" >/dev/kmsg
    exit 1
fi
exec 4>"/dev/$port"
failed=0
if [ -e $temporary/after ]; then
    # this is the system that a soft-reboot started: the lines behind it, and what had failed before
    mv $temporary/after $temporary/plan
    failed=$(cat $temporary/failed)
else
    tr -d '\000' <"/dev/$disk" >$temporary/plan
    echo "STAGE $stage" >&4
fi
exec 3<$temporary/plan
read -r wanted <&3

if [ "$stage" = "$wanted" ]; then
    [ "$stage" != host ] || timeout 120 systemctl is-system-running --wait >$temporary/state 2>&1
    echo "READY $(cut -d ' ' -f 1 /proc/uptime)" >&4
    while IFS= read -r line <&3; do
        case $line in
        '' | '#'*) continue ;;
        soft_reboot) # this process ends with the others, and is started again
            { echo "$stage" && cat <&3; } >$temporary/after
            echo "$failed" >$temporary/failed
            systemctl start soft-reboot.target --job-mode=replace-irreversibly --no-block >$temporary/out 2>&1 &&
                sleep 100
            rm -f $temporary/after
            failed=$((failed + 1))
            { echo "FAILED soft_reboot" && sed 's/^/| /' $temporary/out; } >&4
            break
            ;;
        '+ '*) # to be looked at, not judged
            {
                echo "\$ ${line#+ }"
                timeout 150 sh -c "${line#+ }" 2>&1 3<&- 4>&- </dev/null
            } | sed 's/^/SHOW /' >&4
            continue
            ;;
        esac
        limit=150
        case $line in 'long '*) limit=900 line=${line#long } ;; esac
        # shellcheck disable=SC2016 # expanded by the shell which runs the line
        timeout $limit sh -c '. "$0" && eval "$1"' $home/lib.sh "$line" \
            >$temporary/out 2>&1 3<&- 4>&- </dev/null
        status=$?
        [ $status -ne 0 ] || continue
        failed=$((failed + 1))
        { echo "FAILED $line (exit status $status)" && head -c 6000 $temporary/out | sed 's/^/| /'; } >&4
    done
else
    failed=1
    echo "FAILED the boot was to reach stage $wanted" >&4
    if [ "$stage" = host-emergency ]; then
        systemctl --failed --no-legend --plain | sed 's/^/| /' >&4
        journalctl -b -p warning -n 30 --no-pager | sed 's/^/| /' >&4
    fi
fi
if [ "$failed" -ne 0 ]; then
    # for the log which is kept
    { cat /proc/self/mountinfo /run/overlayroot/state.json && journalctl -b --no-pager | grep -i overlay; } \
        2>&1 | sed 's/^/LOG /' >&4
fi
if [ "$failed" -eq 0 ]; then echo "VERDICT PASS" >&4; else echo "VERDICT FAIL $failed" >&4; fi
exec 4>&-
case $stage in
# what `systemctl poweroff` comes to; logind, which it would ask, can't run on a read-only root
host)
    end=poweroff
    case " $(cat /proc/cmdline) " in *" vm.end=reboot "*) end=reboot ;; esac
    systemctl start $end.target --job-mode=replace-irreversibly --no-block
    ;;
emergency) sync && busybox poweroff -f ;;
*) systemctl poweroff --force ;;
esac

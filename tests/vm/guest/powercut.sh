#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# PID 1 of the guests of `vm powercut`: says what came up, sends every file that it may have
# written to the host, and writes records until the power goes. The host judges.
set -u
PATH=/usr/bin
if grep -q 'User Mode Linux' /proc/cpuinfo; then
    # files on the host, by lines that would write a carriage return before each newline
    stty -F /dev/ttyS1 raw
    stty -F /dev/ttyS2 raw
    exec 4>/dev/ttyS1
    files=/dev/ttyS2 records=/dev/ubdb
else
    for dir in /sys/class/virtio-ports/*; do
        case $(cat "$dir/name") in
        verdict) exec 4>"/dev/${dir##*/}" ;;
        files) files=/dev/${dir##*/} ;;
        esac
    done
    records=/dev/vdb
fi
say() { echo "$*" >&4; }

say UP
sed 's/^/MOUNT /' /proc/self/mountinfo >&4
sed 's/^/RECORD /' /run/overlayroot/state.json >&4
say "SIZE $(df -k / | awk 'END { print $(NF - 4) }')"
tar -cf "$files" -C / data records
# /run/overlayfs leads to the upper
boots=$(dirname "$(readlink -f /run/overlayfs)")/.overlayroot/boot.json
say "BOOTS $(cat "$boots" 2>/dev/null)"
if [ -e /run/overlayroot/thawed ]; then
    say THAWED
    say READY
    # nothing of the upper is here, and nothing is written into the root
    say "ACK thawed"
    while :; do sleep 1000; done
fi
say READY

# shellcheck disable=SC2013 # words are wanted
for word in $(cat /proc/cmdline); do
    case $word in
    powercut.first=*) n=${word#*=} ;;
    powercut.last=*) last=${word#*=} ;;
    # the next boot moves all that this one finds, and what it writes
    powercut.commit) overlayctl commit >/dev/null 2>&1 || say "COMMIT failed: $(overlayctl commit 2>&1)" ;;
    # the next boot has no overlay
    powercut.thaw) overlayctl thaw --no-run >/dev/null 2>&1 || say "THAW failed: $(overlayctl thaw --no-run 2>&1)" ;;
    # by hand: what overlayctl uppers use --tries writes of another upper
    powercut.tries)
        echo '{"want":{"upper":"overlay"},"tries":50,"good":{"upper":"fine"}}' >"$boots.new" &&
            sync "$boots.new" && mv "$boots.new" "$boots" && sync "${boots%/*}" && say ASKED
        ;;
    # what an earlier reset moved aside is removed beside the writes; and the next one has something to do
    powercut.ballast)
        (if said=$(overlayctl trash empty); then say "TRASH $said"; else say "TRASH failed"; fi) &
        cp -a /kept "/ballast.$n"
        ;;
    esac
done
first=$n

# put FILE DD-ARGUMENT...: the record's block into the file; the next disk has one for each number
put() {
    to=$1
    shift
    dd if=$records bs=4096 skip="$n" count=1 status=none of="$to" "$@"
}

# each kind is on the disk, and stays, once it is acknowledged
while [ "$n" -lt "$last" ]; do
    k=$((n / 8))
    case $((n % 8)) in
    0) put "/records/new/$n" conv=fsync && sync /records/new ;;
    1) put "/data/over/$((k % 32))" seek=1 conv=notrunc,fsync ;;
    2) rm -f "/data/gone/$k" && sync /data/gone ;;
    *) put "/records/log.$first" oflag=append conv=notrunc,fsync ;;
    esac || break
    say "ACK $n"
    n=$((n + 1))
done
say "STOPPED at $n"
while :; do sleep 1000; done

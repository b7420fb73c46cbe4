# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What the lines of `holds` may call. Everything is read from the kernel and from
# systemd, not from the project's own tools. A function which fails says why.

RECORD=/run/overlayroot/state.json

fail() {
    printf '%s\n' "$*"
    return 1
}

# mounts TARGET: "FSTYPE SOURCE SUPER-OPTIONS OPTIONS" of each mount on it
mounts() {
    TARGET=$1 awk '{ for (i = 7; $i != "-"; i++);
        if ($5 == ENVIRON["TARGET"]) print $(i + 1), $(i + 2), $(i + 3), $6 }' /proc/self/mountinfo
}

# the same for the one which is visible, the last
mount_of() {
    mounts "$1" | tail -n 1
}

has_option() { # LIST OPTION
    case ",$1," in *",$2,"*) return 0 ;; esac
    return 1
}

is_ro() { # DIRECTORY: a write is refused as on a read-only file system
    if (: >"$1/.overlayroot-vm") 2>/run/overlayroot-vm/ro; then
        rm -f "$1/.overlayroot-vm"
        return 1
    fi
    grep -q 'Read-only file system' /run/overlayroot-vm/ro
}

is_rw() {
    : >"$1/.overlayroot-vm" && rm "$1/.overlayroot-vm"
}

# overlay_root [SOURCE]: / is one writable overlay, named as asked
overlay_root() {
    want=${1:-LiveOS_rootfs}
    # shellcheck disable=SC2046 # four words
    set -- $(mount_of /)
    [ "${1-}" = overlay ] || fail "/ is ${1-no mount}, not an overlay" || return 1
    [ "$2" = "$want" ] || fail "the source is $2, not $want" || return 1
    [ "$(mounts / | grep -c '^overlay ')" = 1 ] || fail "more than one overlay on /" || return 1
    if [ "$want" = LiveOS_rootfs ]; then
        for option in lowerdir=/run/rootfsbase upperdir=/run/overlayfs workdir=/run/ovlwork; do
            has_option "$3" $option || fail "no $option in $3" || return 1
        done
    fi
    is_rw / || fail "/ is not writable" || return 1
    closed
}

# closed: no mount of ours beside the root has setuid or devices, and nobody but root can write there. Where the overlay
# is another party's, nothing is said.
closed() {
    [ -e $RECORD ] && [ "$(jq -r .effective.root $RECORD)" = overlay ] || return 0
    awk '$5 ~ "^/run/(rootfsbase|overlayfs-backing|initramfs/overlay)$" || $5 ~ "^/media/root-r[ow]$" ||
        $5 ~ "^/run/initramfs/overlayroot/" { print $5, $6 }' /proc/self/mountinfo >/run/overlayroot-vm/beside
    while read -r at options; do
        for option in nosuid nodev; do
            has_option "$options" $option || fail "$at: $options" || return 1
        done
        case $at in
        /run/initramfs/overlayroot/*) at=/run/initramfs/overlayroot ;;
        esac
        has_option "$options" ro || [ "$(stat -c '%a %u' "$at")" = '700 0' ] || fail "$at: $options" || return 1
    done </run/overlayroot-vm/beside
}

# ours [PATH...]: each mount of ours beside the root, and on these paths, by the kernel's number of it, the device, what
# of it, the place and the options
ours() {
    PATHS=" $* " awk '$5 ~ "^/run/(rootfsbase|overlayfs-backing|initramfs/overlay)$" || $5 ~ "^/media/root-r[ow]$" ||
        $5 ~ "^/run/initramfs/overlayroot/" || index(ENVIRON["PATHS"], " " $5 " ") { print $1, $3, $4, $5, $6 }' \
        /proc/self/mountinfo
}

# outsider COMMAND...: as an ordinary user
outsider() {
    setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$@"
}

# plain_root: / is no overlay, and writable
plain_root() {
    no_overlay && { is_rw / || fail "/ is not writable"; }
}

# ro_root: / is no overlay, and read-only
ro_root() {
    no_overlay && { is_ro / || fail "/ is writable"; }
}

no_overlay() {
    ! mounts / | grep '^overlay '
}

# mount TARGET FSTYPE [OPTION...]: what is mounted there, and with what
mount() {
    target=$1 type=$2
    shift 2
    all=$(mount_of "$target")
    [ "${all%% *}" = "$type" ] || fail "on $target: ${all:-nothing}" || return 1
    options=$(echo "$all" | cut -d ' ' -f 3-4 | tr ' ' ,)
    for option in "$@"; do
        has_option "$options" "$option" || fail "$target has no $option: $options" || return 1
    done
}

not_mounted() {
    ! mounts "$1" | grep .
}

# mounted_from TARGET DEVICE: the file system there is that block device's
mounted_from() {
    want=$(cat "/sys/class/block/$(basename "$(readlink -f "$2")")/dev")
    TARGET=$1 awk '$5 == ENVIRON["TARGET"] { print $3 }' /proc/self/mountinfo | grep -qx "$want" ||
        fail "$1 is not on $2 ($want): $(mounts "$1")"
}

# no_double_mounts: no mount point twice; autofs has what it triggers on top
no_double_mounts() {
    twice=$(awk '!/ - autofs / { print $5 }' /proc/self/mountinfo | sort | uniq -d)
    [ -z "$twice" ] || fail "mounted twice: $twice"
}

# untriggered PATH...: each waits to be looked at, and nobody has yet
untriggered() {
    for path; do
        there=$(mounts "$path" | cut -d ' ' -f 1 | tr '\n' ' ')
        [ "$there" = 'autofs ' ] || fail "on $path: ${there:-nothing}" || return 1
    done
}

# written DISK: sectors that were written to it; discarded DISK: those that it was told are of no use
written() {
    awk '{ print $7 }' "/sys/class/block/$1/stat"
}

discarded() {
    awk '{ print $14 }' "/sys/class/block/$1/stat"
}

# running: systemd is content with every unit
running() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        state=$(systemctl is-system-running)
        case $state in starting | initializing) sleep 2 ;; *) break ;; esac
    done
    [ "$state" = running ] && return
    echo "system state: $state"
    systemctl list-jobs --no-legend
    for unit in $(failed_units); do
        systemctl status -n 8 --no-pager -l "$unit"
    done
    return 1
}

# failed_units: those that failed, a name each line
failed_units() {
    systemctl --failed --no-legend --plain | cut -d ' ' -f 1 | sort
}

# failed_unit NAME: this unit failed, and no other
failed_unit() {
    failed=$(failed_units)
    [ "$failed" = "$1" ] || fail "failed units: ${failed:-none}"
}

# ended UNIT: it has begun, and is done, well or not
ended() {
    for _ in $(seq 70); do
        state=$(systemctl show -P ActiveState "$1")
        case $state in active | failed) return ;; esac
        sleep 2
    done
    fail "$1 is $state"
}

# record JQPATH VALUE: the record has the value there; with .issues[].x, in one of them
record() {
    jq -r "$1 | tostring" $RECORD | grep -qxF -- "$2" ||
        fail "$1 is $(jq -c "$1" $RECORD | tr '\n' ' ')"
}

# the same of what became of `overlayctl commit` or `revert`
committed() {
    jq -r "$1 | tostring" /run/overlayroot/commit.json | grep -qxF -- "$2" || fail "$(cat /run/overlayroot/commit.json)"
}

record_has() {
    grep -qF -- "$1" $RECORD || { cat $RECORD && return 1; }
}

file_has() { # PATH TEXT
    grep -qF -- "$2" "$1"
}

# absent PATH...: not there, not even as a dangling link
absent() {
    for path in "$@"; do
        if [ -e "$path" ] || [ -L "$path" ]; then
            ls -ld "$path"
            return 1
        fi
    done
}

# link_to PATH TARGET: a symbolic link with exactly that text
link_to() {
    [ "$(readlink "$1")" = "$2" ] || { ls -ld "$1" && return 1; }
}

# lower_ro [DIRECTORY]: the lower refuses writes, and so does its superblock
lower_ro() {
    lower=${1:-/run/rootfsbase}
    is_ro "$lower" || fail "$lower takes writes" || return 1
    super=$(mount_of "$lower" | cut -d ' ' -f 3)
    has_option "$super" ro || fail "the superblock is $super"
}

# lower_view: the lower refuses writes, and is the root's file system, which is writable at a
# place that only root can reach
lower_view() {
    is_ro /run/rootfsbase || fail "/run/rootfsbase takes writes" || return 1
    private=/run/initramfs/overlayroot
    [ "$(stat -c '%a %u' $private)" = '700 0' ] || fail "$private is open" || return 1
    super=$(mount_of $private/root | cut -d ' ' -f 3)
    has_option "$super" rw || fail "the superblock is $super" || return 1
    [ "$(devno_of /run/rootfsbase)" = "$(devno_of $private/root)" ] || fail "two file systems"
}

devno_of() { # TARGET: of the mount which is visible there
    TARGET=$1 awk '$5 == ENVIRON["TARGET"] { at = $3 } END { print at }' /proc/self/mountinfo
}

# whiteout PATH: the upper hides what the lower has there
whiteout() {
    absent "$1" || return 1
    [ -e "/run/rootfsbase$1" ] || fail "the lower has no $1" || return 1
    [ "$(stat -c '%F %t:%T' "/run/overlayfs$1")" = 'character special file 0:0' ] || ls -ld "/run/overlayfs$1"
}

# not_sparse FILE: every byte of it has a block
not_sparse() {
    # shellcheck disable=SC2046 # two numbers
    set -- $(stat -c '%s %b' "$1")
    [ $(($2 * 512)) -ge "$1" ] || fail "$1 bytes in $2 blocks"
}

# loop_of PATH [PLACE]: the upper's device is a loop device of that file, with direct I/O, without
# discards; PLACE is `holder` for a file of another device than the root's
loop_of() {
    node=$(readlink -f /run/initramfs/overlayroot/loop)
    sys=/sys/block/${node#/dev/}
    [ "$(stat -c '%d:%i' "/run/initramfs/overlayroot/${2:-root}$1")" = "$(losetup -nO BACK-MAJ:MIN,BACK-INO "$node" |
        awk '{ split($1, d, ":"); print d[1] * 256 + d[2] ":" $2 }')" ] || { losetup -l && return 1; }
    [ "$(cat "$sys/loop/dio")" = 1 ] || fail "no direct I/O" || return 1
    # it goes with its mount
    [ "$(cat "$sys/loop/autoclear")" = 1 ] || fail "nobody gives it back" || return 1
    [ "$(cat "$sys/queue/discard_max_bytes")" = 0 ] || fail "discards punch holes" || return 1
    mounted_from /run/overlayfs-backing "$node"
}

# root_attrs_like_lower: mode, owner and extended attributes of / are the lower's
root_attrs_like_lower() {
    for dir in / "${1:-/run/rootfsbase}"; do
        stat -c '%a %u %g' "$dir"
        getfattr --absolute-names -d -m - "$dir" | grep -v '^#'
    done >/run/overlayroot-vm/attrs
    lines=$(wc -l </run/overlayroot-vm/attrs)
    half=$((lines / 2))
    upper=$(head -n $half /run/overlayroot-vm/attrs)
    [ "$upper" = "$(tail -n $half /run/overlayroot-vm/attrs)" ] || {
        cat /run/overlayroot-vm/attrs
        return 1
    }
}

# journal_has TEXT: in the journal of this boot, initramfs included
journal_has() {
    journalctl -b --no-pager | grep -qF -- "$1" || fail "the journal has no such line"
}

# soon COMMAND: it succeeds within a minute
soon() {
    for _ in $(seq 60); do
        eval "$*" >/dev/null 2>&1 && return
        sleep 1
    done
    eval "$*"
}

# fill FILE PERCENT: writes zeros until the root is that full
fill() {
    while [ "$(df --output=pcent / | tail -n 1 | tr -dc 0-9)" -lt "$2" ]; do
        head -c 3M /dev/zero >>"$1" || return
        sync "$1"
        sleep 0.1
    done
}

# told LEVEL TEXT: the journal has an entry of overlayctl watch with that level's id, and the text in its message
told() {
    case $1 in
    fine) id=bab07107256445fcbc80239c16baa71a ;;
    warning) id=27287f8d36354f40b0d6aae5b5b25f6e ;;
    critical) id=1089deaf39124c55b336bfb9d200c84b ;;
    esac
    entry=$(journalctl -b -o json MESSAGE_ID="$id" | jq -r '"\(.OVERLAY_LEVEL) \(.MESSAGE)"' | tail -n 1)
    case $entry in "$1 "*"$2"*) ;; *) fail "$1: ${entry:-no entry}" ;; esac
}

# counts FILE NUMBER: appends a line; the file then has that many
counts() {
    echo line >>"$1"
    [ "$(wc -l <"$1")" = "$2" ] || fail "$1 has $(wc -l <"$1") lines"
}

# subvolume PATH...: each is a subvolume of btrfs
subvolume() {
    for path in "$@"; do
        [ "$(stat -f -c %T "$path") $(stat -c %i "$path")" = 'btrfs 256' ] || fail "$path is no subvolume" || return 1
    done
}

# by_reference FILE BYTES MS: a file of the lower, that long, is appended to within MS milliseconds and 4 MiB; what
# the upper has of it then is the lower's
by_reference() {
    [ "$(stat -c %s "$1")" = "$2" ] || { ls -l "$1" && return 1; }
    before=$(btrfs_used)
    start=$(date +%s%N)
    printf tail >>"$1"
    sync "$1"
    ms=$((($(date +%s%N) - start) / 1000000))
    room=$(($(btrfs_used) - before))
    echo "by_reference: $2 bytes in $ms ms and $room bytes" | tee /dev/kmsg
    [ "$(stat -c %s "/run/overlayfs$1")" = $(($2 + 4)) ] || { ls -l "/run/overlayfs$1" && return 1; }
    [ $ms -lt "$3" ] && [ $room -lt $((4 << 20)) ] && filefrag -v "/run/overlayfs$1" | grep -q shared
}

btrfs_used() {
    sync -f /run/initramfs/overlayroot/root
    btrfs filesystem usage -b /run/initramfs/overlayroot/root | awk '$1 == "Used:" { print $2; exit }'
}

# avcs: what SELinux denied, or would have, up to the test itself: class, source, target, permissions; each once
avcs() {
    dmesg | sed '/unit=overlayroot-vm /,$d' |
        sed -n 's/.*avc: *denied *{ \([^}]*\) } .*scontext=\([^ ]*\) tcontext=\([^ ]*\) tclass=\([^ ]*\).*/\4 \2 \3 \1/p' |
        sort -u
}

# no_new_avcs FILE: none that the list does not have
no_new_avcs() {
    avcs >/run/overlayroot-vm/avcs
    new=$(comm -13 "$1" /run/overlayroot-vm/avcs)
    [ -z "$new" ] || fail "$new"
}

# mounter_asked: this kernel asks the policy whether a domain may use what the overlay's mounter opened
mounter_asked() {
    case $(uname -r) in 6.1.*) ;; *) return 1 ;; esac
}

# selinux_rule: what doctor says of the rules, for a boot with an overlay
selinux_rule() {
    overlayctl doctor --json --cmdline rd.overlay | jq -r '.findings[] | select(.check == "selinux-rule").todo'
}

# selinux_grade: what doctor thinks of the labels of this boot
selinux_grade() {
    overlayctl doctor --json --cmdline "$(cat /proc/cmdline)" | jq -r '.findings[] | select(.check == "selinux").grade'
}

# labelled PATH...: each has the label that the policy has for it
labelled() {
    for path; do
        want=$(matchpathcon -n "$path") || fail "$path: $want" || return 1
        [ "$(stat -c %C "$path")" = "$want" ] || fail "$path is $(stat -c %C "$path"), not $want" || return 1
    done
}

# labelled_as PATH PATH...: all of these have the label of the first
labelled_as() {
    want=$(stat -c %C "$1")
    for path; do
        [ "$(stat -c %C "$path")" = "$want" ] || fail "$path is $(stat -c %C "$path"), not $want" || return 1
    done
}

# image_root: a root with nothing but a shell in it, as an archive
image_root() {
    mkdir -p /run/image/bin
    cp /usr/bin/busybox /run/image/bin/busybox
    ln -sf busybox /run/image/bin/sh
    tar -C /run/image -c bin
}

# native_overlay COMMAND...: the command starts a container whose / is the kernel's own overlay, and takes writes
native_overlay() {
    "$@" /bin/sh -c 'echo word >/file && /bin/busybox cat /file /proc/self/mountinfo' >/run/overlayroot-vm/inside || return 1
    grep -qx word /run/overlayroot-vm/inside || fail "no file" || return 1
    grep -q '^[0-9]* [0-9]* [0-9:]* / / .* - overlay ' /run/overlayroot-vm/inside ||
        fail "$(grep ' / / ' /run/overlayroot-vm/inside)"
}

# snaps DIRECTORY: three unsigned snaps there: snapd.snap has next to nothing, but without one snapd asks the store for its
# own; base.snap is a root with a shell alone; hello.snap is confined, and runs its arguments in that root
snaps() {
    mkdir -p "$1" && cd "$1" || return 1
    for name in snapd base hello; do
        mkdir -p $name/meta
        case $name in
        snapd)
            what='type: snapd'
            # older than the one that runs, which would go on from the snap otherwise
            mkdir -p snapd/usr/lib/snapd snapd/etc/apparmor.d && echo VERSION=1 >snapd/usr/lib/snapd/info
            cp /etc/apparmor.d/usr.lib.snapd.snap-confine* snapd/etc/apparmor.d
            ;;
        base)
            what='type: base'
            for dir in dev etc home lib/firmware lib/modules media mnt proc root run snap sys tmp usr/bin usr/lib/snapd \
                usr/src var/lib/snapd var/log var/snap var/tmp; do
                mkdir -p base/$dir
            done
            ;;
        hello)
            what='base: base, confinement: strict, apps: { hello: { command: bin/hello } }'
            mkdir hello/bin && printf '#!/bin/sh\nexec "$@"\n' >hello/bin/hello && chmod 755 hello/bin/hello
            ;;
        esac
        echo "{ name: $name, version: 1, summary: none, description: none, $what }" >$name/meta/snap.yaml
    done
    image_root | tar -C base -x
    for name in snapd base hello; do
        mksquashfs $name $name.snap -quiet -no-progress || return 1
    done
}

# in_snap USER COMMAND...: runs it in hello.snap as that user, in such a control group as his session would make
in_snap() {
    user=$1
    shift
    systemd-run --quiet --scope --unit="snap.hello.hello-$(cat /proc/sys/kernel/random/uuid)" --uid="$user" \
        snap run hello busybox "$@"
}

# all_files: what is on the root's file system, but for what each run of apt, dracut and systemd leaves
all_files() {
    find / -xdev \( -path /var/cache -o -path /var/log -o -path /var/tmp -o -path /tmp -o -path /root -o -path /lost+found \
        -o -path /var/lib/apt -o -path '/var/lib/dpkg/*-old' -o -path '/var/lib/dpkg/lock*' -o -path /var/lib/systemd \
        -o -path /var/lib/dpkg/triggers -o -path '/boot/initrd.img-*' \) -prune -o -print | LC_ALL=C sort |
        grep -vx /usr/lib/systemd/system-shutdown # empty; Debian 12's dpkg knows it as /lib/..., and takes it for ours
}

# same_files BEFORE AFTER UPPER: the lists differ by the upper alone, which is still there
same_files() {
    [ -d "$3" ] || fail "no $3" || return 1
    new=$(grep -v -e "^$3\$" -e "^$3/" "$2" | diff "$1" -) || fail "$new"
}

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# fresh.sh: what README names, on machines that have nothing. Minimal roots of Debian 12 and 13 with git, make,
# ca-certificates, sudo and an ordinary user, who clones what is committed here and calls `make demo`: no Rust, no
# cargo home, no cache, nothing built. RELEASES= and TARGETS= name others; each target gets a machine of its own,
# `build` is installed by `sudo make install`, too. Root is needed, and the network for Debian's packages and crates.
# Nothing here is skipped.
set -eu
releases=${RELEASES:-bookworm trixie}
targets=${TARGETS:-demo}
# the demo says so once every scene held; where it can't boot, it is skipped and succeeds, which is not enough here
held='Everything above was checked inside the guests'
# how this machine reaches the network counts for the new one, too
network="http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY CARGO_HTTP_PROXY"
network="$network SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE GIT_SSL_CAINFO CARGO_HTTP_CAINFO"
network="$network OVERLAYROOT_MIRROR"
user=somebody

fail() {
    echo "fresh: FAILED: $*" >&2
    exit 1
}

# In namespaces of its own: mounts, and processes that stay behind, end with them.
if [ "${1:-}" = inside ]; then
    root=$2 target=$3
    # its / is a mount, as on every machine: in a mere directory nobody could unshare mounts
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    set -- HOME="/home/$user" USER="$user" LOGNAME="$user" LANG=C.UTF-8 \
        PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games
    for name in $network; do
        value=$(printenv "$name" || true)
        # a file or directory of this machine's that the new one lacks is no help there
        case $value in /*) [ -e "$root$value" ] || continue ;; "") continue ;; esac
        set -- "$@" "$name=$value"
    done
    # shellcheck disable=SC2016  # the inner shell's
    exec chroot "$root" setpriv --reuid "$user" --regid "$user" --init-groups env -i "$@" sh -euc '
        cd && git -c advice.detachedHead=false clone -q /srv/machine.bundle overlayroot-rs && cd overlayroot-rs && make "$1"
        if [ "$1" = build ]; then sudo make install && overlayctl --version; fi
        # root leaves its files where they belong only: the next command is the user'"'"'s again
        sudo find "$HOME" -user root ! -path "$PWD/target/as-root*" ! -path "$PWD/target/deb/*" \
            ! -path "$HOME/.cache/overlayroot-rs/*" > /tmp/of-root
        [ ! -s /tmp/of-root ] || { echo "files of root in the home of the user:" && head -n 20 /tmp/of-root && exit 1; }
    ' sh "$target"
fi

cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || fail "root is needed"
for tool in mmdebstrap unshare chroot setpriv tar git; do
    command -v "$tool" > /dev/null || fail "$tool is missing; packaging/deps.sh all installs it"
done
git rev-parse -q --verify HEAD > /dev/null || fail "nothing is committed"
[ -z "$(git status --porcelain)" ] || echo "fresh: what is not committed is not tried"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/overlayroot-fresh.XXXXXX")
inside=
tidy() {
    # unshare blocks the milder signals; all that it started ends with it, and so do the mounts
    [ -z "$inside" ] || { kill -KILL "$inside" 2> /dev/null && wait "$inside" 2> /dev/null; } || true
    rm -rf --one-file-system "$work"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM

# The machine as its installer leaves it, for whoever comes first to $work/SUITE.tar.
bare() {
    TMPDIR="$work" mmdebstrap --quiet --mode=root --variant=minbase --include=git,make,ca-certificates,sudo \
        --dpkgopt=force-unsafe-io "$1" "$work/$1.tar" ${OVERLAYROOT_MIRROR:+"$OVERLAYROOT_MIRROR"} || fail "$1: mmdebstrap"
}

# The user, the network as it is here, and what is committed.
furnish() {
    mkdir "$root"
    tar --xattrs --numeric-owner -xpf "$work/$1.tar" -C "$root"
    chroot "$root" useradd -m -s /bin/sh "$user"
    printf '%s ALL=(ALL) NOPASSWD: ALL\nDefaults env_keep += "%s"\n' "$user" "$network" > "$root/etc/sudoers.d/$user"
    chmod 440 "$root/etc/sudoers.d/$user"
    for file in /etc/resolv.conf /etc/hosts; do
        [ ! -e "$file" ] || cp -L --remove-destination "$file" "$root$file"
    done
    # authorities that this machine's administrator trusts besides
    cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/" 2> /dev/null || true
    chroot "$root" update-ca-certificates > /dev/null 2>&1
    git bundle create -q "$root/srv/machine.bundle" HEAD
}

# What apt writes for each package says nothing here; the file has all.
progress() { grep --line-buffered -vE '^(Get|Hit|Ign|Selecting|Preparing|Unpacking|Setting up|Processing|Adding|Created|update-alt|debconf|invoke-rc|\(Reading|  )' | sed -u "s/^/  $1: /"; }

try() {
    suite=$1 target=$2 began=$(date +%s)
    root=$work/$suite-$target log=$work/log
    furnish "$suite"
    echo "fresh: $suite, a user clones and calls make $target"
    : > "$log"
    unshare --mount --pid --fork --kill-child --propagation private sh "$0" inside "$root" "$target" \
        > "$log" 2>&1 < /dev/null &
    inside=$!
    tail -n +1 -f --pid="$inside" "$log" | progress "$suite" &
    shown=$!
    ended=0
    wait "$inside" || ended=$?
    inside=
    wait "$shown" || true
    [ "$ended" = 0 ] || { tail -n 40 "$log" >&2 && fail "$suite: make $target ended with $ended"; }
    ! grep -q '^SKIP' "$log" || fail "$suite: make $target was skipped"
    [ "$target" != demo ] || tail -n 20 "$log" | grep -q "$held" || fail "$suite: the demo does not end as it should"
    rm -rf --one-file-system "$root"
    echo "fresh: $suite, make $target passed, $(($(date +%s) - began)) s"
}

for release in $releases; do
    began=$(date +%s)
    bare "$release"
    echo "fresh: $release, the bare machine, $(($(date +%s) - began)) s"
    for wanted in $targets; do try "$release" "$wanted"; done
    rm "$work/$release.tar"
done
echo "fresh: passed"

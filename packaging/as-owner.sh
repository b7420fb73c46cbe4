#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# as-owner.sh COMMAND...: under sudo, what builds runs as the user whose target directory it is, with that user's
# cargo: `sudo make install` builds nothing anew with another compiler, and leaves no file of root's in there.
# Everybody else, and root in a tree of its own, just runs it.
set -eu
target=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}
[ -d "$target" ] || target=$(dirname "$0")/..
owner=$(stat -c %u "$target")
if [ "$(id -u)" = 0 ] && [ "$owner" != 0 ] && entry=$(getent passwd "$owner"); then
    home=$(echo "$entry" | cut -d : -f 6)
    exec setpriv --reuid "$owner" --regid "$(echo "$entry" | cut -d : -f 4)" --init-groups \
        env HOME="$home" PATH="$home/.cargo/bin:$PATH" "$@"
fi
exec "$@"

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# notices.sh [OPTION OF CARGO]...: the crates that are linked into what is installed, with their licences and the
# notices that these want to go with each copy. Without the network: from vendor/ or from cargo's cache.
set -eu
cd "$(dirname "$0")/.."
# Neither macros nor build scripts end up in a binary, so they are left out.
cargo "$@" tree --locked --offline --no-dedupe --prefix none --edges normal,no-proc-macro \
    -p overlayctl -p overlayroot-initramfs -p overlayroot-populate -p overlayroot-commit --format '{p}|{l}' |
    grep -v '^$' | grep -v -e '^overlay' | LC_ALL=C sort -u |
    while IFS='|' read -r crate licence; do
        name=${crate%% *} version=${crate#* v}
        version=${version%% *}
        found=
        for dir in "vendor/$name-$version" "vendor/$name" "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-$version"; do
            if [ -d "$dir" ]; then found=$dir && break; fi
        done
        [ -n "$found" ] || { echo "notices: no source of $name $version" >&2 && exit 1; }
        shown=
        printf '%s %s: %s\n\n' "$name" "$version" "$licence"
        # of a dual licence the MIT side is the one taken
        for file in "$found"/LICENSE-MIT* "$found"/LICENSE "$found"/LICENSE.* "$found"/COPYING "$found"/LICENCE* "$found"/COPYRIGHT; do
            case $file in
                *[Aa][Pp][Aa][Cc][Hh][Ee]*) ;;
                *) [ ! -f "$file" ] || { cat "$file" && echo && shown=yes; } ;;
            esac
        done
        [ -n "$shown" ] || printf '%s\n\n' "(no text of it in its source)"
    done

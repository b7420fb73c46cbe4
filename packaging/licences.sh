#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The licence of each crate that is linked into what is installed, one a line: LICENCE: CRATE VERSION.
# Neither macros nor build scripts end up in a binary, so they are left out.
set -eu
cd "$(dirname "$0")/.."
# Old manifests write / for OR. That of libblkid-sys has an identifier that SPDX gave up (deny.toml).
"${CARGO:-cargo}" tree --locked --offline --no-dedupe --prefix none --edges normal,no-proc-macro \
    -p overlayctl -p overlayroot-initramfs -p overlayroot-populate -p overlayroot-commit --format '{l}|{p}' |
    awk -F '|' 'NF == 2 {
        split($2, crate, " ")
        gsub("/", " OR ", $1)
        if ($1 == "LGPL-2.1") $1 = "LGPL-2.1-only"
        print $1 ": " crate[1] " " crate[2]
    }' | LC_ALL=C sort -u

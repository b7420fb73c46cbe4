#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The flags that dpkg-buildpackage needs on this machine. Where no package has a compiler that is new enough, rustup's
# is taken (debian/control); where dpkg has no libraries at all, as on Fedora, it is not asked for them.
set -eu
cd "$(dirname "$0")/.."
# cargo-web and rustc-web of Debian 12 provide these, with their versions
dpkg-checkbuilddeps -d 'cargo (>= 1.85), rustc (>= 1.85)' 2> /dev/null || echo -Ppkg.overlayroot-rs.rustup
dpkg-query -W libc6 > /dev/null 2>&1 || echo -d

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# release.sh OPTION...: builds what is installed, with these options of cargo. The programs of the initramfs each by
# itself, so that none has what only another asks of a crate, and for a fixed address: addresses that repeat pack
# better, and 15 KB of a compressed initramfs were relocations. What runs on the host stays position-independent.
set -eu
cd "$(dirname "$0")/.."
packaging/cargo.sh build --release "$@" -p overlayctl
for of in initramfs:assemble populate:populate commit:commit commit:thaw commit:tries; do
    packaging/cargo.sh rustc --release "$@" -p "overlayroot-${of%:*}" --bin "overlay-${of#*:}" -- -C relocation-model=static
done

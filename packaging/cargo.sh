#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# cargo.sh ARGUMENT...: cargo, so that nothing in the binaries says where they were built: the place of a crate is
# in the message of each panic. Given by --config and not by RUSTFLAGS, which would replace those in
# .cargo/config.toml; cargo joins these lists.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
home=${CARGO_HOME:-$HOME/.cargo}
flags=
remap() { flags="$flags'--remap-path-prefix=$1=$2',"; }
# Where several match, the last one holds. Vendored crates and those of the registry get one name, so that a build
# from the tarballs gives the same bytes as one from a checkout.
remap "$top" .
remap "$home" cargo
remap "$top/vendor" crates
for registry in "$home"/registry/src/*; do
    remap "$registry" crates
done
# the standard library for another machine, where it lies apart (packaging/rust-std.sh)
[ -z "${OVERLAYROOT_RUST_STD:-}" ] || flags="$flags'-L$OVERLAYROOT_RUST_STD',"
# shellcheck disable=SC2086  # may be several words, as in the Makefile
exec ${CARGO:-cargo} --config "build.rustflags=[$flags]" "$@"

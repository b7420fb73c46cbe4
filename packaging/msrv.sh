#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Compiles the workspace, tests included, with the Rust that Cargo.toml promises to be enough.
set -eu
cd "$(dirname "$0")/.."
oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
# a target directory of its own: the two compilers would throw away what the other has made
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/msrv"
if rustup toolchain list 2> /dev/null | grep -q "^${oldest}[.-]"; then
    toolchain=$(rustup toolchain list | sed -n "s/^\(${oldest}[.-][^ ]*\).*/\1/p" | head -n 1)
    exec rustup run "$toolchain" cargo check --locked --workspace --all-targets
fi
case $(cargo --version) in
    "cargo $oldest."*) exec cargo check --locked --workspace --all-targets ;;
esac
echo "msrv: this is $(cargo --version), and rustup has no $oldest: rustup toolchain install --profile minimal $oldest" >&2
exit 1

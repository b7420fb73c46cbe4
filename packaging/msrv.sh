#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Lints the workspace, tests included, with the Rust that Cargo.toml promises to be enough, and so compiles it: what
# newer lints allow, that one's may not, and Debian 13 has it.
set -eu
cd "$(dirname "$0")/.."
oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
# a target directory of its own: the two compilers would throw away what the other has made
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/msrv"
case $(cargo --version) in
    "cargo $oldest."*) exec cargo clippy --locked --workspace --all-targets -- -D warnings ;;
esac
command -v rustup > /dev/null || { echo "msrv: this is $(cargo --version), and there is no rustup to fetch $oldest" >&2 && exit 1; }
named() { rustup toolchain list | sed -n "s/^\(${oldest}[.-][^ ]*\).*/\1/p" | head -n 1; }
rustup run "$(named)" cargo clippy --version > /dev/null 2>&1 || rustup toolchain install --profile minimal --component clippy "$oldest"
exec rustup run "$(named)" cargo clippy --locked --workspace --all-targets -- -D warnings

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Formatting, clippy, shellcheck, warnings of the man pages.
set -eu
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
$cargo fmt --all -- --check
if $cargo clippy --version > /dev/null 2>&1; then
    $cargo clippy -q --locked --workspace --all-targets -- -D warnings
elif [ "${CI:-}" = true ]; then
    echo "lint: clippy is missing, and this is CI" >&2
    exit 1
else
    echo "lint: ran without clippy, which this machine's Rust does not have (Debian 12 has no package of it; rustup has it)"
fi
shellcheck packaging/*.sh dracut/55overlayroot-rs/*.sh tests/vm/guest/*.sh tests/vm/guest/99vm-probe/*.sh \
    tests/vm/host/*.sh tests/vm/server/*.sh tests/packaging/*.sh .ci/run
for page in docs/reference/man/*.[578]; do
    out=$(man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 > /dev/null) || true
    [ -z "$out" ] || { echo "$page: $out" && exit 1; }
done

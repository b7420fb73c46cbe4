#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Fetches every crate that Cargo.lock names into cargo's home, once: debian/rules, cargo-deny and the notices ask no
# network. Crates that are there, or vendored, are not asked for again.
set -eu
cd "$(dirname "$0")/.."
[ ! -d vendor ] || exit 0
# shellcheck disable=SC2086  # may be several words, as in the Makefile
exec ${CARGO:-cargo} fetch --quiet --locked

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The version, from the one place that has it: [workspace.package] in Cargo.toml.
set -eu
sed -n '/^\[workspace\.package\]/,/^\[workspace\.dep/ s/^version = "\(.*\)"$/\1/p' "$(dirname "$0")/../Cargo.toml"

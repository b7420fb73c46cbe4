#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the binaries, and installs first what that needs where it is missing; under sudo as the user whose tree it is.
set -eu
cd "$(dirname "$0")/.."
# elsewhere than on Debian and Fedora, or without root, what it needs may be there all the same
packaging/deps.sh build || echo "build: trying with what is here" >&2
exec packaging/as-owner.sh packaging/release.sh --locked

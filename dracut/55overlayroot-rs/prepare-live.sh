#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by dracut before systemd mounts the root.
[ ! -e /run/rootfsbase ] || overlay-assemble --prepare-live
return 0

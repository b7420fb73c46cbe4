#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by dracut while it waits for the root to be mounted.
[ ! -e /run/rootfsbase ] || overlay-assemble --mount-live
return 0

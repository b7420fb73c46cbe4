#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2154 # dracut sets NEWROOT
[ "$(getarg root=)" != vmqueue ] || ismounted "$NEWROOT"

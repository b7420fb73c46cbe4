#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced at initqueue/timeout, where no network came up to start what netroot= names. overlay-image knows whether it
# can do without, and whether it has tried.
# shellcheck disable=SC2154  # of dracut

[ -n "$netroot" ] && overlay-image --late "$netroot"
return 0

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced at cmdline, behind livenet (29) and dmsquash-live (30). Decides nothing: overlay-image knows who fetches.
# shellcheck disable=SC2154  # of dracut

if [ -n "$netroot" ] && overlayroot_netroot=$(overlay-image --netroot "$netroot"); then
    # shellcheck disable=SC2034  # dracut's netroot starts what it names
    netroot=$overlayroot_netroot
fi
return 0

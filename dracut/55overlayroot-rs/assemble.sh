#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced at pre-pivot. Decides nothing: overlay-assemble knows whether it has run already.

# only in images that ask for them: whether there is an overlay; which of several uppers, and how often
! command -v overlay-thaw > /dev/null || overlay-thaw || :
! command -v overlay-tries > /dev/null || overlay-tries || :
if ! overlay-assemble --by hook; then
    # dracut ignores a hook's exit status. rd.shell=0 must not turn fallback=halt into a boot.
    die "overlayroot-rs: this root may not be booted, see /run/overlayroot/state.json"
fi
return 0

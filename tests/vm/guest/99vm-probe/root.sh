#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced at cmdline: root=vmqueue and root=vmhook are this module's.
# shellcheck disable=SC2034,SC2154 # dracut reads rootok, and sets root
case "$root" in vmqueue | vmhook) rootok=1 ;; esac
return 0

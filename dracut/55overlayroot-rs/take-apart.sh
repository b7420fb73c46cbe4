#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced in the shutdown ramdisk, before others take apart what is under the root.

overlay-assemble --take-apart --by hook
return 0

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# dracut sources this before an emergency shell
/bin/sh /usr/lib/overlayroot-vm/agent.sh emergency

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# timed.sh NAME COMMAND...: says what begins, and how many seconds it took.
set -u
name=$1 began=$(date +%s)
shift
echo "==== $name"
"$@"
ended=$?
word="done"
[ $ended = 0 ] || word="FAILED ($ended)"
echo "==== $name: $word, $(($(date +%s) - began)) s"
exit $ended

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The tarballs are the same bytes twice, the spec says what the workspace says, and the gate for the
# changelog sees what it is there for.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "dist: $*" >&2
    exit 1
}

version=$(packaging/version.sh)
spec=packaging/overlayroot-rs.spec
[ "$(sed -n 's/^Version: *//p' "$spec")" = "$version" ] || fail "the spec's version is not $version"
grep -A 1 '^%changelog' "$spec" | grep -q -- " - $version-1\$" || fail "the spec's changelog does not begin with $version"

# each licence once, in parentheses where it is a choice, ours first
packaging/licences.sh > "$work/licences"
expected=$(sed -e 's/: .*//' -e '/ /s/.*/(&)/' "$work/licences" | grep -v '^GPL-2.0-or-later$' | LC_ALL=C sort -u |
    LC_ALL=C awk '/^\(/ { choices = choices " AND " $0; next } { plain = plain " AND " $0 }
        END { print "GPL-2.0-or-later" plain choices }')
[ "$(sed -n '0,/^License: */s/^License: *//p' "$spec")" = "$expected" ] || fail "the spec's licence is not: $expected"

# The second run has another directory, umask, time zone and language.
packaging/dist.sh "$work/one" > /dev/null
(umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 packaging/dist.sh "$work/two" > /dev/null)
for kind in "" -vendor; do
    file=overlayroot-rs-$version$kind.tar.gz
    cmp "$work/one/$file" "$work/two/$file" || fail "$file differs from run to run"
    tar -tvzf "$work/one/$file" > "$work/list"
    ! grep -Ev ' (root/root|0/0) ' "$work/list" || fail "$file has files of a user's"
done

tests/packaging/changelog.sh
echo "dist: ok"

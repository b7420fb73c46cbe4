#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# changelog-check.sh [DIR]: whether CHANGELOG.md says what changed since the last tag.
set -eu
version=$("$(dirname "$0")/version.sh")
cd "${1:-$(dirname "$0")/..}"

# prints what the section says, without headings and empty lines
section() {
    awk -v head="## [$1]" 'index($0, "## ") == 1 { inside = index($0, head) == 1; next }
        inside && !/^#/ && NF' CHANGELOG.md
}
fail() {
    echo "changelog: $*" >&2
    exit 1
}

unreleased=$(section Unreleased)
released=$(section "$version")
tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2> /dev/null || true)
if [ -z "$tag" ]; then
    [ -n "$unreleased$released" ] || fail "neither Unreleased nor $version says anything"
    exit 0
fi
[ -n "$released" ] || fail "no section for $version"
# where the version is not tagged yet, its section is about what is new
if [ -z "$unreleased" ] && [ "$tag" = "v$version" ] &&
    ! git diff --quiet "$tag" -- crates dracut systemd-units; then
    fail "crates, dracut or systemd-units changed since $tag, and Unreleased is empty"
fi

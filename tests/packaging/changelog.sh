#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# packaging/changelog-check.sh, in a repository made for it.
set -eu
cd "$(dirname "$0")/../.."
top=$PWD
version=$(packaging/version.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
git init -q .
mkdir crates dracut systemd-units
commit() {
    git add -A
    git -c user.name=t -c user.email=t@localhost -c commit.gpgsign=false commit -q --allow-empty -m "$1"
}
log() {
    printf '# Changelog\n\n## [Unreleased]\n%s\n## [%s]\n\n### Added\n%s\n' "$1" "$2" "$3" > CHANGELOG.md
    commit log
}
expect() {
    if "$top/packaging/changelog-check.sh" "$work" 2> message; then got=passes; else got=fails; fi
    [ "$got" = "$1" ] || { echo "changelog: $2: $got, $(cat message)" >&2; exit 1; }
    rm message
}

log "" "$version" ""
expect fails "no tag, nothing said"
log "- new" "$version" ""
expect passes "no tag, Unreleased"
log "" "$version" "- first"
expect passes "no tag, the version's section"
git tag "v$version"
expect passes "nothing changed"
echo > README && commit readme
expect passes "only a document changed"
echo > crates/a && commit code
expect fails "code changed, Unreleased is empty"
log "- new" "$version" "- first"
expect passes "code changed, Unreleased says so"
log "- new" 9.9.9 "- first"
expect fails "no section for the version"
git tag -d "v$version" > /dev/null
git tag v0.0.1
echo > crates/b && commit more
log "" "$version" "- second"
expect passes "the release's own commit, before its tag"

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the RPMs from the tarballs of what is committed, without the network, looks at what is in them,
# and installs and erases them in a root made for it. Needs root, for that root.
# RPM_TEST_CHECK=0 leaves out the spec's %check.
set -eu
cd "$(dirname "$0")/../.."
fail() {
    echo "rpm: $*" >&2
    exit 1
}
for tool in rpmbuild rpm rpmlint; do
    command -v "$tool" > /dev/null && continue
    [ "${CI:-}" != true ] || fail "$tool is missing, and this is CI: packaging/deps.sh package"
    echo "rpm: skipped, $tool is missing: packaging/deps.sh package"
    exit 0
done

version=$(packaging/version.sh)
top=$PWD/target/rpm
# What cargo made stays from run to run. It lies beside and not in the warm one, for cargo throws away
# what was made of crates at another path. Dates of files are those of the commit, which may be older
# than what was made of another one: our own crates are always made anew.
made=${CARGO_TARGET_DIR:-$PWD/target}/rpm-cargo
rm -rf "$top" "$made"/*/.fingerprint/overlay*
# the distribution's macros for cargo know only the directory target
if [ "$(rpm --eval '%{?cargo_prep:1}')" = 1 ]; then unset CARGO_TARGET_DIR; else export CARGO_TARGET_DIR="$made"; fi
mkdir -p "$top/SOURCES" "$top/SPECS"
packaging/dist.sh "$top/SOURCES"
cp packaging/overlayroot-rs.spec "$top/SPECS"

# --nodeps: this host's packages may be another packager's, whose names rpm does not know. Cargo finds no
# crates but the vendored ones: its home is empty, and its proxy goes nowhere.
with=
[ "${RPM_TEST_CHECK:-1}" = 1 ] || with="--without check"
# shellcheck disable=SC2086  # none or two words
env CARGO_HOME="$top/cargo-home" CARGO_HTTP_PROXY=http://127.0.0.1:9 CARGO_NET_OFFLINE=true \
    rpmbuild -ba --nodeps $with --define "_topdir $top" --define "_smp_mflags -j${JOBS:-$(nproc)}" \
    "$top/SPECS/overlayroot-rs.spec" > "$top/log" 2>&1 || { tail -n 60 "$top/log"; fail "rpmbuild"; }
! grep -Ei 'warning: (bogus|file listed twice|absolute symlink)' "$top/log" || fail "rpmbuild warns"
main=$(echo "$top"/RPMS/*/overlayroot-rs-"$version"-*.rpm)
module=$(echo "$top"/RPMS/noarch/dracut-overlayroot-rs-"$version"-*.rpm)
for package in "$main" "$module"; do
    [ -f "$package" ] || fail "not made: $package"
done

# What another distribution's rpmlint would say and this one does not is no fault of the filters.
rpmlint -r packaging/overlayroot-rs.rpmlintrc packaging/overlayroot-rs.spec \
    "$main" "$module" "$top"/SRPMS/*.src.rpm > "$top/rpmlint" 2>&1 || true
grep -q '3 packages and 1 specfiles checked' "$top/rpmlint" || { cat "$top/rpmlint"; fail "rpmlint did not run"; }
! grep -E ': [EW]: ' "$top/rpmlint" | grep -v ': unused-rpmlintrc-filter ' || fail "rpmlint"

# Nothing of what make install puts there is missing, each is in one package, and each where it belongs.
mkdir "$top/names"
for program in overlay-assemble overlay-commit overlay-populate overlay-thaw overlay-tries overlayctl; do : > "$top/names/$program"; done
make -s install-files DESTDIR="$top/installed" BINARIES="$(echo "$top"/names/*)" OVERLAYCTL=: \
    ZSHDIR=/usr/share/zsh/site-functions > /dev/null
(cd "$top/installed" && find . ! -type d | sed 's/^.//') | LC_ALL=C sort > "$top/expected"
files() {
    rpm -qp --queryformat '[%{FILEMODES:perms} %{FILENAMES}\n]' "$1" 2> /dev/null | sed -n '/^d/!s/^[^ ]* //p' |
        sed '/\/man\//s/\.gz$//' |
        grep -v -e /licenses/ -e /.build-id/ -e /README.md -e /CHANGELOG.md
}
{ files "$main"; files "$module"; } | LC_ALL=C sort > "$top/packaged"
diff "$top/expected" "$top/packaged" || fail "what is packaged is not what make install-files puts there"
! files "$main" | grep dracut || fail "the main package has files of dracut's"
[ "$(files "$module" | grep -vc '^/usr/lib/dracut/modules.d/55overlayroot-rs/')" = 1 ] ||
    fail "the module's package has more than the module and its dracut.conf"
[ "$(rpm -qp --queryformat '%{ARCH}' "$module" 2> /dev/null)" = noarch ] || fail "the module is not noarch"
rpm -qp --requires "$module" 2> /dev/null | grep -q "^overlayroot-rs = $version-" || fail "the module needs no programs"
rpm -qp --licensefiles "$main" 2> /dev/null | grep -q LICENSE.dependencies || fail "no licences of the crates"
rpm -qp --queryformat '[%{FILEUSERNAME}:%{FILEGROUPNAME}\n]' "$main" "$module" 2> /dev/null |
    grep -vx root:root && fail "files of a user's"

# A package makes no initramfs, and presets nothing.
for package in "$main" "$module"; do
    rpm -qp --scripts "$package" 2> /dev/null | sed '/^ *echo /d' > "$top/scripts"
    ! grep -E '(^|[ /])(dracut|mkinitrd|update-initramfs|kernel-install)( |$)' "$top/scripts" ||
        fail "a scriptlet makes an initramfs"
    ! grep -E 'preset|enable' "$top/scripts" || fail "a scriptlet enables what is linked statically"
done
rpm -qp --scripts "$module" 2> /dev/null | grep -q 'dracut --force --add overlayroot-rs' || fail "%post says not how"
rpm -qp --scripts "$main" 2> /dev/null |
    grep -Eq '(try-restart|mark-restart-system-units) overlayroot-rs-watch' || fail "%postun restarts nothing"

# A root with a shell for the scriptlets and the libraries of the programs, and nothing else. Debian's
# rpm would have its database in the home of root. --nodeps, for that database is empty: what the packages
# require was looked at above.
[ "$(id -u)" = 0 ] || fail "installing needs root"
root=$top/root
mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/etc" "$root/dev"
ln -s usr/bin "$root/bin"
libraries() {
    ldd "$1" | grep -o '/[^ ]*' | while read -r library; do
        [ ! -f "$library" ] || { install -D "$library" "$root$library" && echo ".$library"; }
    done
}
libraries /bin/sh > /dev/null
install "$(readlink -f /bin/sh)" "$root/usr/bin/sh"
: > "$root/dev/null"
tree() {
    (cd "$root" && find . -path ./var/lib/rpm -prune -o -path ./usr/lib/sysimage -prune -o ! -type d -print) | LC_ALL=C sort
}
tree > "$top/before"
rpm --root "$root" --dbpath /var/lib/rpm --initdb
# only Debian's rpm knows the switch, and refuses without
debian=
[ ! -e /etc/debian_version ] || debian=--force-debian
rpm --root "$root" --dbpath /var/lib/rpm $debian -ivh --nodeps "$main" "$module" > "$top/install" 2>&1 || { cat "$top/install"; fail "rpm -i"; }
grep -q 'dracut --force --add overlayroot-rs' "$top/install" || fail "rpm -i does not say how to go on"
! grep -i 'warning\|failed' "$top/install" || fail "rpm -i warns"
rpm --root "$root" --dbpath /var/lib/rpm -V --nodeps overlayroot-rs dracut-overlayroot-rs || fail "rpm -V"
{ libraries "$root/usr/bin/overlayctl"; libraries "$root/usr/bin/overlay-assemble"; } >> "$top/before"
[ "$(chroot "$root" /usr/bin/overlayctl --version)" = "overlayctl $version" ] || fail "overlayctl --version"
chroot "$root" /usr/bin/overlay-upper --help > /dev/null || fail "overlay-upper --help"
chroot "$root" /bin/sh -n /usr/lib/dracut/modules.d/55overlayroot-rs/assemble.sh || fail "the module's hook"
# The user's copy of the drop-in stays, and counts for nothing where the module is gone.
drop_in=$root/etc/dracut.conf.d/50-overlayroot-rs.conf
mkdir -p "${drop_in%/*}"
cp "$root/usr/share/doc/overlayroot-rs/50-overlayroot-rs.conf" "$drop_in"
# shellcheck disable=SC2016  # bash's
effect() {
    dracutbasedir=$root/usr/lib/dracut bash -uc '. "$1"; echo "+${add_dracutmodules-}-${omit_dracutmodules-}"' - "$drop_in"
}
[ "$(effect)" = "+ overlayroot-rs - overlayfs overlayfs-crypt " ] || fail "the drop-in says $(effect)"
rpm --root "$root" --dbpath /var/lib/rpm -e overlayroot-rs dracut-overlayroot-rs > "$top/erase" 2>&1 || { cat "$top/erase"; fail "rpm -e"; }
grep -q '50-overlayroot-rs.conf has no effect now' "$top/erase" || fail "rpm -e says nothing of the drop-in"
[ "$(effect)" = "+-" ] || fail "without the module the drop-in says $(effect)"
rm "$drop_in"
LC_ALL=C sort -u -o "$top/before" "$top/before"
tree > "$top/after"
diff "$top/before" "$top/after" || fail "rpm -e leaves files"
for dir in share/overlayroot-rs share/doc/overlayroot-rs lib/dracut/modules.d/55overlayroot-rs; do
    [ ! -e "$root/usr/$dir" ] || fail "rpm -e leaves /usr/$dir"
done
ls -l "$main" "$module"
echo "rpm: ok"

// SPDX-License-Identifier: GPL-2.0-or-later
//! What tells one state of a lower from another, to see whether an upper was made over it.

use crate::source::text_in_root;
use crate::sys::filesystem;
use overlayroot_core::facts::Fingerprint;
use overlayroot_core::parse::mountinfo::Mount;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const DATABASES: [&str; 5] = [
    "var/lib/dpkg/status",
    "var/lib/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "var/lib/rpm/Packages",
    "var/lib/pacman/local",
];

/// The fingerprint of the root that is mounted at `at`.
pub(crate) fn of(mount: &Mount, at: &str) -> Fingerprint {
    let os = text_in_root(at, "/etc/os-release").or_else(|_| text_in_root(at, "/usr/lib/os-release"));
    let databases = there(at, &DATABASES);
    Fingerprint {
        uuid: filesystem::uuid_on_device(mount).unwrap_or_default(),
        fstype: mount.fstype.clone(),
        os: os_identity(&os.unwrap_or_default()),
        packages: databases.iter().map(Metadata::mtime).max().unwrap_or(0),
        taken: taken(at, &databases),
    }
}

/// Those of the names that are there.
fn there(at: &str, names: &[&str]) -> Vec<Metadata> {
    names.iter().filter_map(|name| fs::symlink_metadata(Path::new(at).join(name)).ok()).collect()
}

fn os_identity(os_release: &str) -> String {
    let value = |key: &str| {
        let mut lines = os_release.lines();
        let found = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.map(|value| value.trim_matches(['"', '\'']).to_owned())
    };
    let values = ["ID", "VERSION_ID", "BUILD_ID"].into_iter().filter_map(value);
    values.collect::<Vec<_>>().join(" ")
}

/// Now, by the clock or by what the lower itself tells, whichever is later: a machine without a clock begins
/// in 1970, and everything in its lower would count as changed since. These are written at every shutdown of
/// a writable root, or with every change of packages.
fn taken(at: &str, databases: &[Metadata]) -> i64 {
    const LATE: [&str; 6] = [
        "etc",
        "etc/fake-hwclock.data",
        "var/lib/systemd/random-seed",
        "var/lib/systemd/timesync/clock",
        "var/log/wtmp",
        "var/lib/dpkg",
    ];
    let lower = there(at, &LATE).iter().chain(databases).map(Metadata::ctime).max().unwrap_or(0);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    lower.max(i64::try_from(clock).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_of_an_os() {
        let text = "NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\nBUILD_ID='x 1'\n";
        assert_eq!(os_identity(text), "debian 12 x 1");
        assert_eq!(os_identity(""), "");
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! fstab(5) as far as an overlay root cares: `/`, swap, and what will be mounted over the root.

use crate::value::path::is_in;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// First field: device, tag or file.
    pub what: String,
    /// Second field: mount point, or `none`/`swap`.
    pub at: String,
    /// Third field.
    pub fstype: String,
    /// Fourth field, comma separated.
    pub options: String,
}

impl Entry {
    /// Whether an option stands in the fourth field.
    pub fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|word| word == option)
    }

    /// A swap *file*: overlayfs refuses swapon (kernel: no `bmap` on overlay), see [`on_root`].
    pub fn swap_file(&self) -> bool {
        self.fstype == "swap" && self.what.starts_with('/') && !self.what.starts_with("/dev/")
    }

    /// Whether something is mounted there without being asked for by hand: at boot, or where it is looked at
    /// (systemd.mount(5); `noauto` beside `x-systemd.automount` is common, and takes nothing away).
    pub fn comes_by_itself(&self) -> bool {
        !self.has("noauto") || self.has("x-systemd.automount") || self.has("comment=systemd.automount")
    }

    /// A file system on storage that will be mounted over the merged root as it is.
    pub fn not_overlaid(&self) -> bool {
        const VIRTUAL: [&str; 12] = [
            "swap",
            "proc",
            "sysfs",
            "tmpfs",
            "devpts",
            "devtmpfs",
            "debugfs",
            "tracefs",
            "cgroup2",
            "mqueue",
            "hugetlbfs",
            "none",
        ];
        self.at.starts_with('/') && self.at != "/" && !VIRTUAL.contains(&self.fstype.as_str())
    }
}

/// All entries; comments and lines with fewer than two fields are passed over, as mount(8) does.
pub fn parse(text: &str) -> Vec<Entry> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let mut next = || fields.next().map(|field| field.replace("\\040", " "));
            Some(Entry {
                what: next()?,
                at: next()?,
                fstype: next().unwrap_or_else(|| "auto".into()),
                options: next().unwrap_or_else(|| "defaults".into()),
            })
        })
        .collect()
}

/// Whether a path is `at` or lies in it; `/` has none.
pub fn covers(at: &str, path: &str) -> bool {
    !at.trim_end_matches('/').is_empty() && is_in(path, at)
}

/// Whether a file lies on the root itself, and on nothing that the table mounts or that is mounted at `apart`. A swap
/// unit has everything on the way mounted first, `noauto` or not (systemd.unit(5), RequiresMountsFor=).
pub fn on_root(entries: &[Entry], apart: &[String], file: &str) -> bool {
    let mut file = file.to_owned();
    // A bind can lie in another.
    for _ in 0..=entries.len() {
        let over = entries.iter().filter(|entry| entry.fstype != "swap" && covers(&entry.at, &file));
        let over = over.max_by_key(|entry| entry.at.trim_end_matches('/').len());
        let elsewhere = apart.iter().filter(|at| covers(at, &file)).map(|at| at.len()).max();
        match over {
            None => return elsewhere.is_none(),
            Some(entry) if elsewhere.is_some_and(|len| len > entry.at.trim_end_matches('/').len()) => return false,
            Some(entry) if entry.has("bind") || entry.has("rbind") => {
                let rest = file.get(entry.at.trim_end_matches('/').len()..).unwrap_or_default();
                file = format!("{}{rest}", entry.what.trim_end_matches('/'));
            }
            Some(_) => return false,
        }
    }
    true
}

/// The name of the `.swap` or `.mount` unit that systemd-fstab-generator makes
/// (systemd.unit(5), string escaping; `LABEL=` and the like become `/dev/disk/by-…` first).
pub fn unit_name(what: &str, suffix: &str) -> String {
    let path = match what.split_once('=') {
        Some((tag, name)) => format!("/dev/disk/by-{}/{}", tag.to_ascii_lowercase(), udev_encode(name)),
        None => what.to_owned(),
    };
    format!("{}.{suffix}", escaped(&path))
}

/// A path as one name (systemd-escape(1), `--path`).
pub fn escaped(path: &str) -> String {
    let trimmed = path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    let mut out = String::new();
    for (i, byte) in trimmed.bytes().enumerate() {
        match byte {
            b'/' => out.push('-'),
            b'.' if i == 0 => out.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => out.push(char::from(byte)),
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    out
}

/// A label as udev writes it into `/dev/disk/by-label` (libblkid, `blkid_encode_string`).
pub fn udev_encode(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) || !c.is_ascii() => c.to_string(),
            c => format!("\\x{:02x}", u32::from(c)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let entries = parse(
            "# c\nLABEL=root / ext4 defaults,x-systemd.growfs 0 1\n/swapfile none swap sw 0 0\n\
             UUID=1 none swap sw 0 0\n/dev/vdb /usr ext4 ro 0 0\ntmpfs /tmp tmpfs defaults\nbroken\n",
        );
        assert_eq!(entries.len(), 5);
        assert!(entries[0].has("x-systemd.growfs") && !entries[0].not_overlaid());
        assert!(entries[1].swap_file() && !entries[2].swap_file());
        assert!(entries[3].not_overlaid() && !entries[4].not_overlaid());
    }

    #[test]
    fn a_file_lies_on_the_deepest_mount() {
        let entries = parse(
            "LABEL=root / ext4\n/dev/vdb /data ext4 noauto\nUUID=1 /swap btrfs subvol=@swap\n/data/x /b none bind\n\
             /c /d/ none rbind\n/d /c none bind\n/srv/a /data/root none bind\ntmpfs /tmp tmpfs\n",
        );
        let on = |file: &str| on_root(&entries, &["/var".to_owned()], file);
        for file in ["/swapfile", "/datas/f", "/data/root/f", "/c/f", "/d/f", "/varx/f"] {
            assert!(on(file), "{file}");
        }
        for file in ["/data/f", "/swap/swapfile", "/b/f", "/var/swap", "/tmp/f"] {
            assert!(!on(file), "{file}");
        }
    }

    #[test]
    fn unit_names_as_systemd_escape_gives_them() {
        assert_eq!(unit_name("/swap file", "swap"), "swap\\x20file.swap");
        assert_eq!(unit_name("/var//swap-1", "swap"), "var-swap\\x2d1.swap");
        assert_eq!(unit_name("UUID=a-b", "swap"), "dev-disk-by\\x2duuid-a\\x2db.swap");
    }

    #[test]
    fn labels_as_udev_encodes_them() {
        assert_eq!(udev_encode("my disk/1"), "my\\x20disk\\x2f1");
        assert_eq!(udev_encode("größe"), "größe");
    }
}

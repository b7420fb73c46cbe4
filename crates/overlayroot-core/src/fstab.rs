// SPDX-License-Identifier: GPL-2.0-or-later
//! fstab(5) as far as an overlay root cares: `/`, swap, and what will be mounted over the root.

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

    /// A swap *file*: overlayfs refuses swapon (kernel: no `bmap` on overlay).
    pub fn swap_file(&self) -> bool {
        self.fstype == "swap" && self.what.starts_with('/') && !self.what.starts_with("/dev/")
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

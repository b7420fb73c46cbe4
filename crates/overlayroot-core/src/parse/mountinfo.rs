// SPDX-License-Identifier: GPL-2.0-or-later
//! `/proc/self/mountinfo`, text to entries (proc_pid_mountinfo(5)). `sys/mounts.rs` of
//! overlayroot-linux opens it.

/// One mount as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mount {
    /// `major:minor` of the superblock's device.
    pub devno: String,
    /// Root of the mount within its file system.
    pub root: String,
    /// Where it is mounted.
    pub at: String,
    /// Options of this mount, comma separated.
    pub options: String,
    /// File system type.
    pub fstype: String,
    /// What was mounted.
    pub source: String,
    /// Options of the superblock, comma separated, still escaped: a comma in a value is `\\054`.
    pub super_options: String,
}

impl Mount {
    /// Whether this mount or its superblock refuses writes.
    pub fn read_only(&self) -> bool {
        has(&self.options, "ro") || has(&self.super_options, "ro")
    }

    /// Whether the superblock refuses writes, so that nobody can write through another mount.
    pub fn super_read_only(&self) -> bool {
        has(&self.super_options, "ro")
    }

    /// The value of a superblock option, the kernel's octal escapes taken off.
    pub fn super_option(&self, key: &str) -> Option<String> {
        let mut options = self.super_options.split(',');
        let value = options.find_map(|option| option.strip_prefix(key)?.strip_prefix('='))?;
        Some(unescape(value))
    }
}

fn has(options: &str, word: &str) -> bool {
    options.split(',').any(|option| option == word)
}

/// All entries, oldest first; lines that are no entries are passed over.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(entry).collect()
}

/// The topmost mount at `path`.
pub fn at<'a>(mounts: &'a [Mount], path: &str) -> Option<&'a Mount> {
    mounts.iter().rfind(|mount| mount.at == path)
}

/// Mounts strictly below `path`, outermost first.
pub fn below<'a>(mounts: &'a [Mount], path: &str) -> Vec<&'a Mount> {
    let prefix = format!("{}/", path.trim_end_matches('/'));
    let found = || mounts.iter().filter(|mount| mount.at.starts_with(&prefix));
    let depth = |mount: &Mount| mount.at.matches('/').count();
    let deepest = found().map(depth).max().unwrap_or(0);
    (0..=deepest).flat_map(|level| found().filter(move |mount| depth(mount) == level)).collect()
}

fn entry(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let mut right = right.split(' ');
    let (devno, root) = (left.nth(2)?, left.next()?);
    Some(Mount {
        devno: devno.to_owned(),
        root: unescape(root),
        at: unescape(left.next()?),
        options: left.next()?.to_owned(),
        fstype: right.next()?.to_owned(),
        source: unescape(right.next().unwrap_or_default()),
        super_options: right.next().unwrap_or_default().to_owned(),
    })
}

/// The kernel writes space, tab, newline, backslash (and `#`) as three octal digits.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        let octal = bytes.get(i + 1..i + 4).filter(|_| byte == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        out.push(octal.unwrap_or(byte));
        i += if octal.is_some() { 4 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
22 1 254:0 / / ro,relatime shared:1 - ext4 /dev/vda ro,errors=remount-ro
23 22 0:21 / /sys\\040x rw,nosuid - sysfs sysfs rw
junk
30 22 0:40 / / rw,relatime shared:2 - overlay LiveOS_rootfs rw,lowerdir=/a\\054b:/c,upperdir=/u,workdir=/w
";

    #[test]
    fn fields_escapes_and_the_topmost() {
        let mounts = parse(TEXT);
        assert_eq!(mounts.len(), 3);
        assert_eq!(mounts[1].at, "/sys x");
        let root = at(&mounts, "/").unwrap();
        assert_eq!((root.fstype.as_str(), root.source.as_str()), ("overlay", "LiveOS_rootfs"));
        assert_eq!(root.super_option("upperdir").as_deref(), Some("/u"));
        assert_eq!(root.super_option("lowerdir").as_deref(), Some("/a,b:/c"));
        assert!(!root.read_only() && mounts[0].super_read_only());
    }

    #[test]
    fn below_is_strict_and_outermost_first() {
        let text = "1 0 0:1 / /a rw - t s rw\n2 0 0:2 / /a/b/c rw - t s rw\n3 0 0:3 / /a/b rw - t s rw\n4 0 0:4 / /ab rw - t s rw\n";
        let mounts = parse(text);
        let got: Vec<&str> = below(&mounts, "/a").iter().map(|m| m.at.as_str()).collect();
        assert_eq!(got, ["/a/b", "/a/b/c"]);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            for mount in parse(&text) {
                mount.super_option("lowerdir");
            }
        }
    }
}

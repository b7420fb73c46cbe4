// SPDX-License-Identifier: GPL-2.0-or-later
//! The files of an initramfs, out of what lsinitrd and lsinitramfs print.

/// A file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its path in the booted initramfs, without the leading slash.
    pub name: String,
    /// By which lsinitrd knows it: one in a squashfs or erofs of the image has that before it.
    pub at: String,
    /// It is a symbolic link.
    pub link: bool,
    /// Its length, where that is told.
    pub bytes: Option<u64>,
}

impl Listed {
    /// One of which only the name is known; `None` for the top directory.
    pub fn named(at: &str) -> Option<Self> {
        let at = at.trim_start_matches("./").trim_start_matches('/');
        let name = INSIDE.iter().find_map(|inside| at.strip_prefix(inside)).unwrap_or(at);
        let (name, at) = (name.to_owned(), at.to_owned());
        (!matches!(name.as_str(), "" | ".")).then(|| Self { name, at, ..Self::default() })
    }
}

/// What is before the names of files in an image in the image (dracut's module squash).
const INSIDE: [&str; 3] = ["squashfs-root/", "squash-root/", "erofs-root/"];

/// lsinitramfs's: one name a line.
pub fn plain(text: &str) -> Vec<Listed> {
    text.lines().filter_map(Listed::named).collect()
}

/// lsinitrd's, among its headings: lines of `ls -l`, by cpio (`Jan  1  1970` or `Jan  1 12:30`), by unsquashfs
/// (`1970-01-01 00:00`), or by `find -ls`, with two numbers before them.
pub fn listed(text: &str) -> Vec<Listed> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Listed> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let all = words(line);
    let lead = all.iter().take(2).take_while(|(_, word)| number(word)).count();
    let words = all.get(lead..).unwrap_or_default();
    let mode = words.first()?.1;
    let kind = mode.chars().next().filter(|kind| "-dlcbps".contains(*kind))?;
    if !mode.get(1..10)?.chars().all(|c| "rwxsStT-".contains(c)) {
        return None;
    }
    let word = |at: usize| words.get(at).map_or("", |(_, word)| *word);
    // How many words the time takes that begins there.
    let time = |at: usize| {
        let day = word(at).split('-').collect::<Vec<_>>();
        match day.as_slice() {
            [year, month, day] if [year, month, day].iter().all(|part| number(part)) => Some(2),
            [month] if MONTHS.contains(month) && number(word(at + 1)) => Some(3),
            _ => None,
        }
    };
    let Some((at, takes)) = (2..words.len()).find_map(|at| Some((at, time(at)?))) else {
        // A time that is written in another way: the name is the last word.
        let name = without_target(kind, line).split(' ').next_back()?;
        return Some(Listed { link: kind == 'l', ..Listed::named(name)? });
    };
    // One blank is before the name, all others are part of it.
    let (end, last) = words.get(at + takes - 1)?;
    let name = without_target(kind, line.get(end + last.len() + 1..)?);
    // Of a file with several names cpio has the bytes with one of them.
    let alone = word(1) == "1" || !number(word(1));
    let bytes = word(at - 1).parse().ok().filter(|_| kind == '-' && alone);
    Some(Listed { link: kind == 'l', bytes, ..Listed::named(name)? })
}

/// The text of a link without where it leads.
fn without_target(kind: char, text: &str) -> &str {
    if kind == 'l' { text.split(" -> ").next().unwrap_or_default() } else { text }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The words of a line, each with its place.
fn words(line: &str) -> Vec<(usize, &str)> {
    let mut at = 0;
    let mut found = Vec::new();
    for word in line.split(' ') {
        if !word.is_empty() {
            found.push((at, word));
        }
        at += word.len() + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: u64) -> Listed {
        Listed { bytes: Some(bytes), ..Listed::named(name).unwrap() }
    }

    #[test]
    fn what_lsinitrd_prints() {
        let text = "Image: /boot/initrd.img: 9M\n====\nArguments: --install /usr/bin/overlay-assemble\n\ndracut modules:\n\
                    overlayroot-rs\n====\n\
                    drwxr-xr-x   3 root     root            0 Jan  1  1970 .\n\
                    crw-r--r--   1 root     root       1,   3 Jan  1  1970 dev/null\n\
                    -rw-r--r--   1 root     root           12 Nov  9 12:30 etc/cmdline.d/90 my disk.conf\n\
                    -rw-r--r--   1 root     root            0 Jan  1  1970 etc/overlayroot-rs.conf\n\
                    lrwxrwxrwx   1 root     root            7 Jan  1  1970 bin -> usr/bin\n\
                    -rw-r--r--   2 root     root            0 Jan  1  1970 etc/twice\n\
                    -rwsr-xr-x   1 root     root        98765 Jan 11  2026 usr/bin/overlay-assemble\n\
                    ====\nSquashed content (squashfs-root.img):\n====\n\
                    drwxr-xr-x root/root                27 2026-01-11 12:00 squashfs-root/\n\
                    -rw-r--r-- root/root                 3 2026-01-11 12:00 squashfs-root/etc/a -> b  c.conf\n\
                    \x20  4711      4 -rw-r--r--   1 root     root            5 Nov  9 12:30 erofs-root/etc/d\n";
        let link = Listed { link: true, ..Listed::named("bin").unwrap() };
        let want = [
            Listed::named("dev/null").unwrap(),
            file("etc/cmdline.d/90 my disk.conf", 12),
            file("etc/overlayroot-rs.conf", 0),
            link,
            Listed::named("etc/twice").unwrap(),
            file("usr/bin/overlay-assemble", 98765),
            file("squashfs-root/etc/a -> b  c.conf", 3),
            file("erofs-root/etc/d", 5),
        ];
        assert_eq!((want[6].name.as_str(), want[7].name.as_str()), ("etc/a -> b  c.conf", "etc/d"));
        assert_eq!(listed(text), want);
    }

    #[test]
    fn a_time_in_another_form() {
        let text = "-rw-r--r-- 1 root root 0 today usr/a\nlrwxrwxrwx 1 b -> usr/b\n-rw-r--r-- 1 1\n";
        let names: Vec<String> = listed(text).into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["usr/a", "b", "1"]);
    }

    #[test]
    fn what_lsinitramfs_prints() {
        let names: Vec<String> = plain(".\nbin\nusr/bin/a b\n./etc\n\n").into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["bin", "usr/bin/a b", "etc"]);
    }
}

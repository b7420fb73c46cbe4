// SPDX-License-Identifier: GPL-2.0-or-later
//! `part:LABEL`: an upper on a partition of the root's own disk, made where there is none.

mod plan;

pub use plan::plan;

use crate::facts::Facts;
use crate::facts::wanted::Wanted;
use crate::upper::kept;
use crate::upper::needs::Needs;
use crate::value::diagnostics::{Problem, escape, suggest};
use crate::value::file_system::MadeFs;
use crate::value::params::{enough, fs, unknown};
use crate::value::size::{LEAST, SIZES, Size, human};
use std::fmt;

/// `part:LABEL[,size=SIZE|rest][,fs=TYPE][,grow]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The partition's name where its table has names, and the label of its file system.
    pub label: String,
    /// Size of one that is made, percent of the disk; all that is free behind the last partition
    /// where nothing is said.
    pub size: Option<Size>,
    /// File system to make.
    pub fs: MadeFs,
    /// Follow what became free behind it.
    pub grow: bool,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.size.map_or_else(|| "rest".to_owned(), |size| size.to_string());
        write!(f, "{},size={size},fs={}{}", self.label, self.fs.word(), if self.grow { ",grow" } else { "" })
    }
}

impl Part {
    /// Of an initramfs: what writes the table, and mkfs where there is no partition yet.
    pub(super) fn needs(&self, facts: Option<&Facts>) -> Needs {
        let disk = facts.map(|facts| facts.disk.as_ref());
        let (table, made) = match disk {
            None => (true, true),
            Some(None) => (false, false),
            Some(Some(disk)) => {
                let missing = disk.named(&self.label).is_empty();
                (missing || self.grow, missing)
            }
        };
        let programs = table.then(|| "sfdisk".to_owned()).into_iter();
        Needs {
            programs: programs.chain(made.then(|| format!("mkfs.{}", self.fs.word()))).collect(),
            file_system: Some(self.fs.word().to_owned()),
            ..Needs::default()
        }
    }
}

/// What its plan depends on.
pub(super) const WANTED: Wanted = Wanted { mkfs: true, ..kept::WANTED };

/// Longest label of a file system, in bytes (mke2fs(8), mkfs.xfs(8)); a name in a GPT has 36 letters.
fn longest(fs: MadeFs) -> usize {
    match fs {
        MadeFs::Ext4 => 16,
        MadeFs::Xfs => 12,
        MadeFs::Btrfs => 36,
    }
}

/// What stands behind `part:`.
pub fn parse_part(text: &str) -> Result<Part, Problem> {
    let mut words = text.split(',');
    let label = words.next().unwrap_or_default().to_owned();
    let mut part = Part { label, size: None, fs: MadeFs::Ext4, grow: false };
    for word in words.filter(|word| !word.is_empty()) {
        match word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value))) {
            ("size", Some("rest")) => part.size = None,
            ("size", Some(value)) => part.size = Some(size(value)?),
            ("fs", Some(value)) => part.fs = fs(value)?,
            ("grow", None) => part.grow = true,
            (key, _) => return Err(unknown(key, &["size", "fs", "grow"])),
        }
    }
    check_label(&part)?;
    enough(part.fs, part.size)?;
    Ok(part)
}

/// It goes to sfdisk, mkfs and udev, and is typed by hand: plain words only.
fn check_label(part: &Part) -> Result<(), Problem> {
    let (label, most) = (&part.label, longest(part.fs));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let problem = |text| Err(Problem::new(text, None));
    if label.is_empty() {
        return problem("part: without a label".to_owned());
    }
    if !label.chars().all(plain) || !label.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        let form = "a letter or digit, then letters, digits, '-', '_' and '.'";
        return problem(format!("label '{}' is not of the form: {form}", escape(label)));
    }
    if label.len() > most {
        let fs = part.fs.word();
        return problem(format!(
            "label '{}' has {} letters, a label of {fs} has {most} at most",
            escape(label),
            label.len()
        ));
    }
    Ok(())
}

fn size(value: &str) -> Result<Size, Problem> {
    Size::parse(value).ok_or_else(|| {
        let text =
            format!("size={} is not rest or a size of at least {}, {SIZES} of the disk", escape(value), human(LEAST));
        Problem::new(text, suggest(value, ["rest"]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_and_nothing() {
        let part = parse_part("persist,size=8G,fs=xfs,,grow").unwrap();
        assert_eq!(part.to_string(), "persist,size=8G,fs=xfs,grow");
        assert_eq!(parse_part("p,size=8G,size=rest").unwrap().to_string(), "p,size=rest,fs=ext4");
        assert_eq!(parse_part("p,size=25%").unwrap().size, Some(Size::Percent(25)));
    }

    #[test]
    fn labels_that_a_table_a_file_system_or_a_script_would_not_take() {
        for bad in ["", "a b", "a\"b", "-x", ".x", "ä", "a/b", "a:b", "seventeen-letters", "a\nb"] {
            assert!(parse_part(bad).is_err(), "{bad}");
        }
        assert!(parse_part("sixteen-letters.").is_ok());
        assert!(parse_part("twelve-lettr,fs=xfs").is_ok() && parse_part("thirteen-lett,fs=xfs").is_err());
        assert!(parse_part("thirty-six-letters-are-a-name-in-gpt,fs=btrfs").is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for bad in ["size=", "size=1M", "size", "fs", "fs=vfat", "grow=1", "fs=xfs,size=64M", "reserve=1G"] {
            assert!(parse_part(&format!("p,{bad}")).is_err(), "{bad}");
        }
        let near = |text: &str| parse_part(text).unwrap_err().nearest;
        assert_eq!(near("p,sise=8G").as_deref(), Some("size"));
        assert_eq!(near("p,size=rset").as_deref(), Some("rest"));
        assert_eq!(near("p,fs=ext").as_deref(), Some("ext4"));
    }
}

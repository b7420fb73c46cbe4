// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads the archive that a guest sends (ustar, as busybox writes it).

use anyhow::{Context as _, Result, ensure};

use super::ledger::Files;

const BLOCK: usize = 512;

/// The plain files in it.
///
/// # Errors
/// Where it ends early or is no archive.
pub(crate) fn files(archive: &[u8]) -> Result<Files> {
    let mut files = Files::new();
    let mut rest = archive;
    loop {
        let (head, after) = rest.split_at_checked(BLOCK).context("the archive ends early")?;
        if head.iter().all(|byte| *byte == 0) {
            return Ok(files);
        }
        ensure!(head.get(257..262) == Some(b"ustar"), "no archive");
        let name = text(head, 0, 100)?;
        let size = usize::from_str_radix(text(head, 124, 12)?.trim(), 8).with_context(|| format!("size of {name}"))?;
        let (data, after) = after.split_at_checked(size.next_multiple_of(BLOCK)).context("a file ends early")?;
        if head.get(156) == Some(&b'0') {
            files.insert(name.to_owned(), data.get(..size).unwrap_or_default().to_vec());
        }
        rest = after;
    }
}

fn text(head: &[u8], at: usize, length: usize) -> Result<&str> {
    let field = head.get(at..at + length).unwrap_or_default();
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(std::str::from_utf8(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_files_are_read_and_a_cut_archive_is_an_error() {
        let dir = std::env::temp_dir().join(format!("powercut-tar-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("data/empty")).unwrap();
        std::fs::write(dir.join("data/a"), [7; 1000]).unwrap();
        std::fs::write(dir.join("data/b"), []).unwrap();
        let mut tar = std::process::Command::new("tar");
        let out = tar.args(["--format=ustar", "-cf", "-", "-C"]).arg(&dir).arg("data").output().unwrap().stdout;
        std::fs::remove_dir_all(&dir).unwrap();
        let all = files(&out).unwrap();
        assert_eq!(all.get("data/a"), Some(&vec![7; 1000]));
        assert_eq!((all.len(), all.get("data/b").map(Vec::len)), (2, Some(0)));
        assert!(files(&out[..1500]).is_err() && files(b"").is_err());
    }
}

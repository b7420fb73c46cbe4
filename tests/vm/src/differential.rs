// SPDX-License-Identifier: GPL-2.0-or-later
//! The project's lexer of the command line against dracut's own program, `dracut-util` of each
//! test root: the same lines, the same keys, the same answers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use overlayroot_core::parse::cmdline::{Source, lex};

/// Put together into lines; chosen for what lexers get wrong.
const PIECES: [&str; 22] = [
    "rd.overlay",
    "rd.overlay.reset",
    "a",
    "=",
    "=",
    "=",
    " ",
    " ",
    "  ",
    "\t",
    "\"",
    "\"",
    "'",
    "\\",
    "LABEL=my disk",
    "LABEL=x",
    "0",
    "no",
    ",",
    ":",
    "--",
    "é\u{a0}",
];
const LINES: usize = 400;

/// Compares; gives back how many answers were the same.
///
/// # Errors
/// The first line and key on which they differ.
pub fn run(tree: &Path) -> Result<usize> {
    // the program acts by the name it is called under
    let link = tree.join("usr/lib/dracut/dracut-getargs");
    std::os::unix::fs::symlink("dracut-util", &link)?;
    let result = compare(tree);
    fs::remove_file(&link)?;
    result
}

fn compare(tree: &Path) -> Result<usize> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut same = 0;
    for _ in 0..LINES {
        let line: String =
            (0..random.below(14)).map(|_| PIECES.get(random.below(PIECES.len())).copied().unwrap_or("")).collect();
        let args = lex(&[Source::new("line", line.clone())]);
        // a key with `=` in it can't be asked for, nor one that is not text
        let keys: BTreeSet<&str> = args.iter().filter_map(|arg| std::str::from_utf8(&arg.key).ok()).collect();
        for key in keys.into_iter().chain(["rd.overlay"]).filter(|key| !key.is_empty() && !key.contains('=')) {
            let ours: Vec<u8> = args
                .iter()
                .filter(|arg| arg.key == key.as_bytes())
                .flat_map(|arg| {
                    let mut answer = arg.value.clone().unwrap_or_else(|| arg.key.clone());
                    answer.push(b'\n');
                    answer
                })
                .collect();
            let theirs = ask(tree, &line, key)?;
            ensure!(
                ours == theirs,
                "{line:?}, key {key}: ours {:?}, dracut {:?}",
                String::from_utf8_lossy(&ours),
                String::from_utf8_lossy(&theirs)
            );
            same += 1;
        }
    }
    ensure!(same > LINES / 2, "only {same} comparisons");
    Ok(same)
}

fn ask(tree: &Path, line: &str, key: &str) -> Result<Vec<u8>> {
    let mut command = Command::new("chroot");
    command.arg(tree).args(["/usr/lib/dracut/dracut-getargs", key]);
    // as dracut's getcmdline hands it over: the sources joined by spaces
    let output = command.env("CMDLINE", format!("{line} ")).output()?;
    // 1 is: no such key; anything else, that it did not run
    ensure!(matches!(output.status.code(), Some(0 | 1)), "dracut-util ended with {}", output.status);
    Ok(output.stdout)
}

/// A generator that gives the same lines every time (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl du`: what fills the upper.

use crate::commands::diff::place::{Place, WhichUpper};
use crate::output::exit::Exit;
use crate::output::out::for_terminal;
use anyhow::{Context, Result, bail};
use overlayroot_core::value::diagnostics::plain;
use overlayroot_core::value::size::rounded;
use overlayroot_diff::usage::{Counter, Sum, count};
use overlayroot_diff::{Stat, shown};
use overlayroot_host::watch::levels::Space;
use overlayroot_linux::sys::statvfs::room;
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Version of the JSON; raised when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

/// What `overlayctl du` is asked for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A directory of the root [default: all of it]
    path: Option<PathBuf>,
    /// Maximum directory depth
    #[arg(short, long, value_name = "N", default_value_t = 2)]
    depth: usize,
    /// Also the N largest files
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    files: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: WhichUpper,
}

struct Rows {
    depth: usize,
    directories: Vec<(Sum, Vec<u8>)>,
    most: usize,
    files: BinaryHeap<Reverse<(u64, Vec<u8>)>>,
    problems: u64,
}

impl Counter for Rows {
    fn directory(&mut self, path: &[u8], depth: usize, sum: Sum, _: Sum) {
        if depth <= self.depth {
            self.directories.push((sum, path.to_vec()));
        }
    }

    fn file(&mut self, path: &[u8], stat: &Stat) -> ControlFlow<()> {
        let bytes = stat.allocated();
        let least = self.files.peek().map_or(0, |Reverse((bytes, _))| *bytes);
        if self.most > 0 && (self.files.len() < self.most || bytes > least) {
            self.files.push(Reverse((bytes, path.to_vec())));
            if self.files.len() > self.most {
                self.files.pop();
            }
        }
        ControlFlow::Continue(())
    }

    fn problem(&mut self, path: &[u8], error: io::Error) {
        self.problems += 1;
        eprintln!("overlayctl: {}: {error}", shown(path));
    }
}

/// Shows it.
pub fn run(args: &Args) -> Result<Exit> {
    let place = Place::of_upper(&args.place)?;
    let path = place.path(args.path.as_deref());
    let mut rows =
        Rows { depth: args.depth, directories: Vec::new(), most: args.files, files: BinaryHeap::new(), problems: 0 };
    place.raise_file_limit();
    match count(&place.upper, &path, &mut rows) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            bail!("{} is not a directory of the upper: nothing below it uses space there", shown(&path));
        }
        result => result.with_context(|| format!("counting {}", place.upper.display()))?,
    }
    rows.directories.sort_by(|(a, left), (b, right)| b.bytes.cmp(&a.bytes).then_with(|| left.cmp(right)));
    let files: Vec<_> = rows.files.into_sorted_vec().into_iter().map(|Reverse(file)| file).collect();
    let text = if args.json {
        as_json(&place, &rows.directories, &files)?
    } else {
        as_text(&rows.directories, &files) + &holder(&place)
    };
    let text = if for_terminal() { plain(&text) } else { text };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error).context("writing to standard output"),
        _ => {}
    }
    if rows.problems > 0 {
        bail!("{} paths could not be read", rows.problems);
    }
    Ok(Exit::Good)
}

/// What its file system has, whosever it is.
fn holder(place: &Place) -> String {
    let Ok(room) = room(&place.upper.to_string_lossy()) else { return String::new() };
    let space = Space { used: room.bytes.saturating_sub(room.free), available: room.available };
    let (used, all) = (rounded(space.used), rounded(space.all()));
    format!("\nin use on {}, by the upper and others: {used} of {all}\n", place.file_system())
}

fn as_text(directories: &[(Sum, Vec<u8>)], files: &[(u64, Vec<u8>)]) -> String {
    let mut text = String::new();
    for (sum, path) in directories {
        text.push_str(&format!("{:>11} {:>9} inodes  {}\n", rounded(sum.bytes), sum.inodes, shown(path)));
    }
    if !files.is_empty() {
        text.push_str("\nlargest files\n");
    }
    for (bytes, path) in files {
        text.push_str(&format!("{:>11}  {}\n", rounded(*bytes), shown(path)));
    }
    text
}

fn as_json(place: &Place, directories: &[(Sum, Vec<u8>)], files: &[(u64, Vec<u8>)]) -> Result<String> {
    let directory =
        |(sum, path): &(Sum, Vec<u8>)| json!({ "path": shown(path), "bytes": sum.bytes, "inodes": sum.inodes });
    let file = |(bytes, path): &(u64, Vec<u8>)| json!({ "path": shown(path), "bytes": bytes });
    let value = json!({
        "schema": SCHEMA,
        "upper": place.upper.to_string_lossy(),
        "directories": directories.iter().map(directory).collect::<Vec<_>>(),
        "files": files.iter().map(file).collect::<Vec<_>>(),
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&value)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_the_largest_files_and_the_upper_directories_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        for (name, len) in [("a/one", 50_000), ("a/b/two", 90_000), ("a/b/c/three", 20_000)] {
            fs::write(dir.path().join(name), vec![1; len]).unwrap();
        }
        let mut rows = Rows { depth: 1, directories: Vec::new(), most: 2, files: BinaryHeap::new(), problems: 0 };
        count(dir.path(), b"/", &mut rows).unwrap();
        let paths: Vec<_> = rows.directories.iter().map(|(_, path)| path.as_slice()).collect();
        assert_eq!(paths, [&b"/a"[..], b"/"]);
        let files: Vec<_> = rows.files.into_sorted_vec().into_iter().map(|Reverse((_, path))| path).collect();
        assert_eq!(files, [b"/a/b/two".to_vec(), b"/a/one".to_vec()]);
    }
}

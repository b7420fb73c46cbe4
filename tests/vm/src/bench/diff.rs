// SPDX-License-Identifier: GPL-2.0-or-later
//! The part of `vm bench` that needs no guest: `overlayctl diff` beside `find -printf` over the same upper.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::host::{self, Host};

const FILES: usize = 500_000;
const EACH_DIR: usize = 100;
const ROUNDS: usize = 7;
/// `diff` may cost so many times what find does.
const MOST: f64 = 1.3;
/// What of the upper the lower has, too: name, and one file in so many.
const UPPERS: [(&str, Option<usize>); 3] = [("nothing", None), ("a tenth", Some(10)), ("all", Some(1))];

/// The chapter of docs/internals/benchmarks.md, and whether the ratio held.
///
/// # Errors
/// When something can't be made or run.
pub(super) fn chapter(host: &Host, dir: &Path) -> Result<(String, bool)> {
    let top = dir.join("diff");
    let program = std::env::current_exe()?.with_file_name("overlayctl");
    ensure!(program.exists(), "{} is not built: cargo build --release -p overlayctl", program.display());
    let (mut rows, mut held) = (String::new(), true);
    for (name, shared) in UPPERS {
        let row = host::step(&format!("diff of {FILES} files, the lower has {name}"), || {
            fs::create_dir_all(&top)?;
            trees(&top, shared)?;
            let row = measure(&program, &top)?;
            fs::remove_dir_all(&top)?;
            Ok(row)
        })?;
        let [find, list, json] = row;
        let (ratio, full) = (list / find, json / find);
        held &= ratio <= MOST;
        rows.push_str(&format!(
            "| {name} | {:.0} ms | {:.0} ms | {ratio:.2} | {:.0} ms | {full:.2} |\n",
            find * 1000.0,
            list * 1000.0,
            json * 1000.0
        ));
    }
    let fstype = host::shell_text(&format!("stat -f -c %T {}", host.work.display()))?;
    let kernel = host::shell_text("uname -r")?;
    let text = format!(
        "\n## Diff\n\n`overlayctl diff` and `find UPPER -printf '%p %s %m %T@\\n'` over the same upper of {FILES} files in\n\
         {} directories, on {}, everything in the kernel's caches, output into a file there. Not in a guest: Linux {},\n\
         both in turns, median of {ROUNDS}. How much it costs hangs on how much of the upper the lower has, too; where it\n\
         has all of it, every file is compared (here by its size). The bench fails where `diff` costs more than {MOST}\n\
         times what find does. `--json` tells size, mode, owner and time of both sides besides; at 1f1728d it cost 4 to 5\n\
         times what find does where the lower has all.\n\n\
         | the lower has of it | find | `diff` | ratio | `diff --json` | ratio |\n|---|---|---|---|---|---|\n{rows}",
        FILES / EACH_DIR,
        fstype.trim(),
        kernel.trim(),
    );
    Ok((text, held))
}

/// An upper, and a lower that has one file in `shared` of it, with another size. One file in ten is not empty.
fn trees(top: &Path, shared: Option<usize>) -> Result<()> {
    for number in 0..FILES {
        let dir = number / EACH_DIR;
        let at = |layer: &str| top.join(format!("{layer}/srv/{:02}/{dir:04}", dir % 50));
        if number % EACH_DIR == 0 {
            fs::create_dir_all(at("upper"))?;
            // directories of its own where the lower has nothing
            fs::create_dir_all(if shared.is_some() { at("lower") } else { top.join("lower") })?;
        }
        let size = if number % 10 == 0 { 100 } else { 0 };
        let name = format!("file-{number:06}");
        fs::write(at("upper").join(&name), vec![b'x'; size])?;
        if shared.is_some_and(|one| number % one == 0) {
            File::create(at("lower").join(&name))?.set_len(5000)?;
        }
    }
    Ok(())
}

/// Seconds of find, of the list and of the JSON: medians.
fn measure(program: &Path, top: &Path) -> Result<[f64; 3]> {
    let (upper, lower) = (top.join("upper"), top.join("lower"));
    let (upper, lower) = (upper.to_str().context("UTF-8")?, lower.to_str().context("UTF-8")?);
    let program = program.to_str().context("UTF-8")?;
    let diff = [program, "diff", "--upperdir", upper, "--lowerdir", lower];
    let lines: [Vec<&str>; 3] =
        [vec!["find", upper, "-printf", "%p %s %m %T@\\n"], diff.to_vec(), [&diff[..], &["--json"]].concat()];
    let out = top.join("out");
    // once for the caches; and each must have seen all of it
    for line in &lines {
        timed(line, &out)?;
        let seen = fs::read(&out)?.iter().filter(|byte| **byte == b'\n').count();
        ensure!(seen >= FILES, "{line:?} printed {seen} lines");
    }
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (line, times) in lines.iter().zip(&mut all) {
            times.push(timed(line, &out)?);
        }
    }
    let mut medians = [0.0; 3];
    for (median, times) in medians.iter_mut().zip(&mut all) {
        times.sort_unstable();
        *median = times.get(ROUNDS / 2).context("no rounds")?.as_secs_f64();
    }
    Ok(medians)
}

fn timed(line: &[&str], out: &PathBuf) -> Result<Duration> {
    let (program, args) = line.split_first().context("no program")?;
    let out = File::create(out)?;
    let begun = Instant::now();
    let status = Command::new(program).args(args).stdin(Stdio::null()).stdout(out).status().context("running it")?;
    ensure!(status.success(), "{line:?}: {status}");
    Ok(begun.elapsed())
}

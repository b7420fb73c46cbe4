// SPDX-License-Identifier: GPL-2.0-or-later
//! One assembly of a RAM upper on this machine's own kernel beside the nine calls alone: processor time, system calls,
//! page faults, what is read of the disk. No guest: a private mount namespace with a root as in an initramfs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::Bench;
use super::said::Measured;
use super::stats::Spread;
use super::tools;
use crate::case::RootKind;
use crate::cell::{Cell, Initrd, Variant};
use crate::engine::Engine;
use crate::host::{self, say};
use crate::machine::read;
use crate::plan::Need;

/// The root that is mounted, and the program in it as the package has it.
pub(super) const NEED: Need =
    (Cell { suite: super::ways::SUITE, initrd: Initrd::Systemd }, Variant::Plain, RootKind::Ext4, Engine::Uml);

/// Of each side, in turns.
const ROUNDS: usize = 21;
/// The goals of the work on size and speed.
const MOST_CALLS: i64 = 250;
const MOST_READ: i64 = 64 << 10;
const MOST_RATIO: f64 = 2.3;
/// At 1f1728d: system calls, page faults, bytes read, microseconds; and those of the mounts alone.
const BEFORE: [i64; 4] = [459, 389, 1_040_000, 9200];
const BEFORE_ALONE: i64 = 1100;

/// What is run; names as in the table and in files.
const SIDES: [(&str, &str, &[&str]); 2] = [
    ("overlay-assemble", "ours", &["/tools/overlay-assemble", "--by", "unit"]),
    ("the nine calls", "calls", &["/tools/vm-calls"]),
];

/// What one side costs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    processor: Spread,
    faults: Spread,
    read: Spread,
    wall: Spread,
    calls: i64,
}

/// The chapter of docs/internals/benchmarks.md, and whether the goals hold that do not depend on the machine's speed.
///
/// # Errors
/// When something can't be made or run.
pub(super) fn chapter(bench: &Bench<'_>) -> Result<(String, bool)> {
    let set = bench.set(Variant::Plain)?;
    let image = set.root_disks(RootKind::Ext4).into_iter().next().context("no root")?;
    let stage = Stage { bench, dir: bench.dir.join("native"), image };
    let programs = stage.dir.join("tools");
    fs::create_dir_all(&programs)?;
    fs::create_dir_all(stage.dir.join("root"))?;
    fs::copy(set.tree().join("usr/bin/overlay-assemble"), programs.join("overlay-assemble"))?;
    for name in ["vm-calls", "vm-measure"] {
        tools::install(&programs, name)?;
    }
    let [ours, calls] =
        host::step(&format!("RAM upper and the nine calls alone, {ROUNDS} times each"), || stage.sides())?;
    say(&format!("     system calls of ours: {}", most_frequent(&stage.trace("ours")?)));
    fs::remove_dir_all(&stage.dir)?;
    let held = ours.calls <= MOST_CALLS && ours.read.median <= MOST_READ;
    Ok((text(&ours, &calls), held))
}

struct Stage<'a> {
    bench: &'a Bench<'a>,
    dir: PathBuf,
    image: PathBuf,
}

impl Stage<'_> {
    fn sides(&self) -> Result<[Cost; 2]> {
        // loads overlayfs, and the programs into the caches
        for (name, _, line) in SIDES {
            let seen = format!("{} && grep -q ' /sysroot .* - overlay ' /proc/self/mountinfo", line.join(" "));
            self.run(&["sh", "-c", &seen]).with_context(|| format!("an overlay by {name}"))?;
        }
        let mut said = String::new();
        for round in 0..ROUNDS {
            let mut sides = SIDES;
            sides.rotate_left(round % 2);
            for (_, name, line) in sides {
                let measure = ["/tools/vm-measure", name, "cost", "/sysroot"];
                said.push_str(&self.run(&[&measure, line].concat())?);
            }
        }
        let measured = Measured::read(&said)?;
        let mut costs = Vec::new();
        for (_, name, line) in SIDES {
            self.run(&[&["strace", "-f", "-o", &format!("/tools/trace-{name}")], line].concat())?;
            let figure = |place| measured.spread(name, place);
            costs.push(Cost {
                processor: figure(0)?,
                faults: figure(1)?,
                read: figure(2)?,
                wall: figure(3)?,
                calls: i64::try_from(count(&self.trace(name)?).values().sum::<usize>())?,
            });
        }
        costs.try_into().ok().context("two sides")
    }

    /// Runs a command on a stage of its own: a fresh mount of the root, nothing of its disk in the caches.
    fn run(&self, line: &[&str]) -> Result<String> {
        let mut command = host::tied(Path::new("unshare"));
        command.args(["--mount", "--propagation=private", "--"]).arg(self.bench.host.vm_dir().join("host/stage.sh"));
        command.arg(self.dir.join("root")).arg(&self.image).arg(self.dir.join("tools"));
        let said = host::run(command.args(line))?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    fn trace(&self, name: &str) -> Result<String> {
        let text = read(&self.dir.join(format!("tools/trace-{name}")));
        ensure!(text.contains("exited with 0"), "{name} did not end well:\n{}", host::tail(&text, 5));
        Ok(text)
    }
}

/// How often each system call is in what `strace -f -o` wrote: a number of the process, the call, its end.
fn count(trace: &str) -> BTreeMap<&str, usize> {
    let mut calls = BTreeMap::new();
    for line in trace.lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        // `<... wait4 resumed>`, `+++ exited`, `--- SIGCHLD`: no call begins there
        if let Some((name, _)) =
            call.split_once('(').filter(|_| call.starts_with(|c: char| c.is_ascii_lowercase() || c == '_'))
        {
            *calls.entry(name).or_default() += 1;
        }
    }
    calls
}

fn most_frequent(trace: &str) -> String {
    let mut calls: Vec<_> = count(trace).into_iter().collect();
    calls.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    calls.iter().take(12).map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

fn text(ours: &Cost, calls: &Cost) -> String {
    let ratio = ours.processor.ratio(calls.processor);
    let [before_calls, before_faults, before_read, before_us] = BEFORE;
    let row = |name: &str, ours: String, calls: String, before: String, goal: &str| {
        format!("| {name} | {ours} | {calls} | {before} | {goal} |\n")
    };
    let tenths = |us: i64| super::stats::scaled(us, 1000, 1);
    let kb = |bytes: i64| super::stats::scaled(bytes, 1000, 0);
    let rows = [
        row(
            "system calls",
            ours.calls.to_string(),
            calls.calls.to_string(),
            before_calls.to_string(),
            &MOST_CALLS.to_string(),
        ),
        row("page faults", ours.faults.text(1, 0), calls.faults.text(1, 0), before_faults.to_string(), ""),
        row(
            "read from the disk, KB",
            ours.read.text(1000, 0),
            calls.read.text(1000, 0),
            kb(before_read),
            &kb(MOST_READ),
        ),
        row(
            "processor, ms",
            ours.processor.text(1000, 2),
            calls.processor.text(1000, 2),
            format!("{} (the mounts alone {})", tenths(before_us), tenths(BEFORE_ALONE)),
            "",
        ),
        row(
            "processor, of the nine calls",
            format!("{ratio:.2}"),
            String::new(),
            String::new(),
            &MOST_RATIO.to_string(),
        ),
        row("from start to end, ms", ours.wall.text(1000, 2), calls.wall.text(1000, 2), String::new(), ""),
    ];
    let (ours, calls) = (SIDES[0].0, SIDES[1].0);
    format!(
        "\n## A RAM upper on this machine's own kernel\n\n\
         One run of `overlay-assemble --by unit` with `rd.overlay` beside the nine calls alone, both as whole programs from\n\
         start to end, in a private mount namespace: a root with the host's programs, an empty /run, and on /sysroot the test root\n\
         (ext4 on a loop device, mounted read-only for this run, none of it in the caches). overlayfs is loaded already.\n\
         {ROUNDS} runs of each in turns. Processor time and faults are those that the kernel counts for the ended program (getrusage); what is\n\
         read is the loop device's own count of sectors; system calls are counted by strace, the start of the program\n\
         included. `make bench` fails above the goals for system calls and reads, which do not depend on the machine.\n\n\
         | | {ours} | {calls} | 1f1728d | at most |\n|---|---|---|---|---|\n{}",
        rows.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_calls_are_counted_where_they_begin() {
        let trace = "100 execve(\"/x\", [\"/x\"], 0x7f /* 3 vars */) = 0\n\
            100   brk(NULL) = 0x55\n\
            100 clone3({flags=CLONE_VM} <unfinished ...>\n\
            101 openat(AT_FDCWD, \"a(b\", O_RDONLY <unfinished ...>\n\
            100 <... clone3 resumed>) = 101\n\
            101 <... openat resumed>) = 3\n\
            101 +++ exited with 0 +++\n\
            100 --- SIGCHLD {si_signo=SIGCHLD} ---\n\
            100 brk(0x56) = 0x56\n\
            100 +++ exited with 0 +++\n";
        let calls = count(trace);
        assert_eq!(calls, BTreeMap::from([("brk", 2), ("clone3", 1), ("execve", 1), ("openat", 1)]));
        assert!(most_frequent(trace).starts_with("2 brk, "));
    }

    #[test]
    fn the_table_has_the_ratio_and_the_goals() {
        let spread = |median| Spread { median, least: median, most: median };
        let cost = |us, calls| Cost {
            processor: spread(us),
            faults: spread(120),
            read: spread(12_288),
            wall: spread(us),
            calls,
        };
        let text = text(&cost(2200, 240), &cost(1000, 90));
        assert!(text.contains("| system calls | 240 | 90 | 459 | 250 |\n"), "{text}");
        assert!(text.contains("| processor, of the nine calls | 2.20 |  |  | 2.3 |\n"), "{text}");
        assert!(text.contains("| read from the disk, KB | 12 (12 to 12) | 12 (12 to 12) | 1040 | 66 |\n"), "{text}");
        assert!(text.contains("| | overlay-assemble | the nine calls | 1f1728d | at most |\n"), "{text}");
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! What was measured, where and when: the head of the page.

use std::path::Path;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result};

use super::page::PAGE;
use crate::host::{self, Host};
use crate::machine::read;
use crate::report;

/// Commit, machine and day of a run.
#[derive(Clone, Debug)]
pub(super) struct About {
    today: String,
    commit: String,
    machine: String,
    /// What ran the guests.
    engine: String,
}

impl About {
    /// Of this repository, this machine and today.
    ///
    /// # Errors
    /// Those of git and of uname.
    pub(super) fn now(host: &Host) -> Result<Self> {
        let kernel = host::shell_text("uname -r")?;
        let proc = |name: &str| read(&Path::new("/proc").join(name));
        let engine = match host.uml() {
            Ok(uml) => format!("user-mode Linux {}", uml.version),
            Err(_) => "no user-mode Linux".to_owned(),
        };
        Ok(Self {
            today: report::today()?,
            commit: report::commit(host, Path::new(PAGE)).context("which commit this is")?,
            machine: machine(&proc("cpuinfo"), &proc("meminfo"), &kernel, available_parallelism()?.get()),
            engine,
        })
    }

    /// The page before its first chapter.
    pub(super) fn head(&self) -> String {
        let Self { today, commit, machine, engine } = self;
        format!(
            "<!-- SPDX-License-Identifier: GPL-2.0-or-later -->\n# Benchmarks\n\n\
             Written by `make bench` on {today} at commit {commit}.\n\
             Machine: {machine}.\n\
             Guests: Debian 13 (dracut 106, systemd 257) in {engine}, on one processor, without emulation; chapters that\n\
             use QEMU say so. One guest at a time, except where several are named. What is compared runs in turns, each round\n\
             in another order. `185 (171 to 204)` is the median, the least and the most. Columns with 1f1728d have what was\n\
             measured at that commit, before the work on size and speed.\n"
        )
    }

    /// The first line of a chapter that was measured without the others.
    pub(super) fn alone(&self) -> String {
        let Self { today, commit, machine, engine } = self;
        format!("Measured without the other chapters on {today} at commit {commit}; {machine}; {engine}.\n\n")
    }
}

/// Processor, RAM and kernel in a line.
fn machine(cpuinfo: &str, meminfo: &str, kernel: &str, processors: usize) -> String {
    let value = |key: &str| {
        let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(name, _)| name.trim() == key).map_or("", |(_, value)| value.trim())
    };
    let model = match value("model name") {
        "" => "unknown processor",
        model => model,
    };
    let guest = value("flags").split(' ').any(|flag| flag == "hypervisor");
    let place = if guest { " in a virtual machine" } else { "" };
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let ram = total.and_then(|kib| kib.parse::<u64>().ok()).map_or("unknown".to_owned(), |kib| {
        // what the kernel keeps for itself is not in it
        format!("{} GiB", (kib >> 20) + 1)
    });
    format!("{model}, {processors} processors{place}, {ram} of RAM, Linux {kernel}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_named() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu hypervisor sse\n\nprocessor\t: 1\n";
        let text = machine(cpuinfo, "MemTotal:       24690112 kB\nMemFree: 1 kB\n", "6.18.44", 2);
        assert_eq!(text, "Some CPU @ 2.00GHz, 2 processors in a virtual machine, 24 GiB of RAM, Linux 6.18.44");
        assert_eq!(machine("", "", "6.1", 4), "unknown processor, 4 processors, unknown of RAM, Linux 6.1");
    }

    #[test]
    fn the_head_has_commit_and_machine() {
        let [today, commit, machine, engine] = ["2026-12-01", "abc1234", "a machine", "an engine"].map(str::to_owned);
        let about = About { today, commit, machine, engine };
        for text in [about.head(), about.alone()] {
            for part in ["2026-12-01", "abc1234", "a machine", "an engine"] {
                assert!(text.contains(part), "{text}");
            }
        }
        assert!(about.head().lines().all(|line| line.chars().count() <= 125));
    }
}

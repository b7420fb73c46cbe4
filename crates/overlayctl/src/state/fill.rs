// SPDX-License-Identifier: GPL-2.0-or-later
//! How full the upper is, in words: what is the upper's own, and what is its file system's.

use overlayroot_core::config::Config;
use overlayroot_core::config::thresholds::Thresholds;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::size::rounded;
use overlayroot_diff::Stat;
use overlayroot_diff::usage::{Counter, Sum, count};
use overlayroot_host::watch::levels::{Reading, Resource, Space};
use overlayroot_linux::source;
use serde::Serialize;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// The levels' thresholds, from this boot's command line and the host's configuration files.
pub fn thresholds() -> Thresholds {
    Config::read(&source::read(Some("/"))).thresholds()
}

/// What the upper itself holds: its files, not what else its file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Own {
    /// Bytes in blocks.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u64,
    /// Whether all was counted; else it is at least that.
    pub whole: bool,
}

impl Own {
    /// Counts an upper directory, for at most so long; `None` where it can't be read, as by others than root.
    pub fn of(upper: &str, longest: Duration) -> Option<Self> {
        let mut counting = Counting { own: Self::default(), looked: 0, end: Instant::now() + longest, cut: false };
        count(Path::new(upper), b"/", &mut counting).ok()?;
        Some(Self { whole: !counting.cut, ..counting.own })
    }

    /// Whether it is all counted, and less than a tenth of `used`: what fills the file system lies beside it.
    pub fn is_little(self, reading: &Reading, resource: Resource) -> bool {
        let (own, used) = match resource {
            Resource::Inodes => (self.inodes, reading.inodes_used),
            Resource::Bytes => (self.bytes, reading.used),
            Resource::Filesystem => (self.bytes, reading.outer.unwrap_or_default().used),
            Resource::Memory => return false,
        };
        self.whole && own.saturating_mul(10) < used
    }

    fn share(self, resource: Resource) -> String {
        let least = if self.whole { "" } else { "at least " };
        match resource {
            Resource::Inodes => format!(", {least}{} of them the upper's own", self.inodes),
            Resource::Bytes | Resource::Memory | Resource::Filesystem => {
                format!(", {least}{} of it the upper's own files", rounded(self.bytes))
            }
        }
    }
}

struct Counting {
    own: Own,
    looked: u32,
    end: Instant,
    cut: bool,
}

impl Counting {
    /// The clock is asked once in so many files.
    const FILES: u32 = 256;

    fn go_on(&mut self) -> ControlFlow<()> {
        self.looked = self.looked.wrapping_add(1);
        self.cut |= self.looked % Self::FILES == 0 && Instant::now() >= self.end;
        if self.cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Counter for Counting {
    fn directory(&mut self, _: &[u8], depth: usize, sum: Sum, _: Sum) {
        if depth == 0 {
            (self.own.bytes, self.own.inodes) = (sum.bytes, sum.inodes);
        }
    }

    fn enter(&mut self) -> ControlFlow<()> {
        self.go_on()
    }

    fn file(&mut self, _: &[u8], _: &Stat) -> ControlFlow<()> {
        self.go_on()
    }

    // Somebody removed it meanwhile: it counts as nothing.
    fn problem(&mut self, _: &[u8], _: io::Error) {}
}

/// A file system as people know it.
pub fn named(fstype: &str, source: &str) -> String {
    escape(&format!("{source} ({fstype})"))
}

/// Whether the numbers of a reading are of the upper alone: a tmpfs, or a directory that is held to a size. Else they are
/// of its file system, which may hold much that is not the upper's.
pub fn alone(reading: &Reading, fstype: &str) -> bool {
    fstype == "tmpfs" || reading.outer.is_some()
}

/// What is scarcest, and how scarce. `own`: what the upper itself holds, where that was counted.
pub fn sentence(reading: &Reading, fstype: &str, source: &str, own: Option<Own>) -> String {
    let (resource, share) = reading.worst();
    let percent = share / 100;
    let of = |space: Space| format!("{} of {}", rounded(space.used), rounded(space.all()));
    let own = own.map(|own| own.share(resource)).unwrap_or_default();
    let name = named(fstype, source);
    match resource {
        Resource::Bytes if alone(reading, fstype) => {
            format!("the upper is {percent} % full: {}", of(reading.space()))
        }
        Resource::Bytes => {
            format!("the upper's file system {name} is {percent} % full: {}{own}", of(reading.space()))
        }
        Resource::Filesystem => {
            let (outer, inner) = (of(reading.outer.unwrap_or_default()), of(reading.space()));
            format!("the upper's file system {name} is {percent} % full: {outer}; the upper has {inner}")
        }
        Resource::Inodes => {
            let (used, all) = (reading.inodes_used, reading.inodes);
            match fstype {
                "tmpfs" => format!("{percent} % of the upper's inodes are in use: {used} of {all}"),
                _ => {
                    let what = "inodes of the upper's file system";
                    format!("{percent} % of the {what} {name} are in use: {used} of {all}{own}")
                }
            }
        }
        Resource::Memory => {
            let memory = reading.memory.unwrap_or_default();
            let left = rounded(memory.available.saturating_add(memory.swap_free));
            let used = if reading.bytes > 0 { reading.used } else { memory.shared };
            format!("memory for the upper is {percent} % in use: {} in it, {left} of RAM and swap left", rounded(used))
        }
    }
}

#[cfg(test)]
mod tests;

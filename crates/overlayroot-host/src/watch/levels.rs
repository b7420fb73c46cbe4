// SPDX-License-Identifier: GPL-2.0-or-later
//! How full an upper is, which level that is, and when to look again. Must not look itself.

use overlayroot_core::config::thresholds::Thresholds;
use overlayroot_core::parse::meminfo::Memory;
use overlayroot_core::upper::resize::Usage;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// So many points below a threshold a level is left: a log that is rotated does not ring twice.
const MARGIN: u64 = 5;
/// Longest time between two looks at an upper that has room.
pub const FAR: Duration = Duration::from_secs(5);
/// The same for one that is half way to the first threshold, or beyond.
pub const NEAR: Duration = Duration::from_secs(2);
/// Shortest time between two looks.
pub const SHORTEST: Duration = Duration::from_millis(250);
/// A terminal hears of the same level, or of a lower one, once in this time.
pub const SILENCE: Duration = Duration::from_secs(300);

/// How bad it is that the upper fills up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FillLevel {
    /// Below `rd.overlay.watch.warn`.
    #[default]
    Fine,
    /// From `rd.overlay.watch.warn` on.
    Warning,
    /// From `rd.overlay.watch.critical` on.
    Critical,
}

impl FillLevel {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl FillLevel {
    /// The level of so many percent, whatever it was before.
    pub fn of(marks: Thresholds, percent: u64) -> Self {
        level(percent, u64::from(marks.warn), u64::from(marks.critical))
    }

    /// The level that follows: it rises at a threshold, and falls [`MARGIN`] points below it.
    pub fn next(self, marks: Thresholds, percent: u64) -> Self {
        let lower = |threshold: u8| u64::from(threshold) - MARGIN.min(u64::from(threshold) / 2);
        let falling = level(percent, lower(marks.warn), lower(marks.critical));
        Self::of(marks, percent).max(self.min(falling))
    }
}

/// How long to wait for the next look. `before`: share and time of the last one.
pub fn pause(marks: Thresholds, share: u64, before: Option<(u64, Duration)>) -> Duration {
    let stops = [u64::from(marks.warn) * 100, u64::from(marks.critical) * 100, 10_000];
    let far = share < u64::from(marks.warn) * 50;
    let longest = if far { FAR } else { NEAR };
    let Some((earlier, elapsed)) = before else {
        return SHORTEST;
    };
    let gap = stops.into_iter().find(|mark| *mark > share).map(|mark| mark - share);
    match (gap, share.checked_sub(earlier)) {
        // Half of the time it takes at this rate: a second look before the threshold.
        (Some(gap), Some(grown @ 1..)) => {
            let time = elapsed.as_secs_f64() * gap as f64 / grown as f64 / 2.0;
            Duration::from_secs_f64(time.clamp(SHORTEST.as_secs_f64(), longest.as_secs_f64()))
        }
        _ => longest,
    }
}

fn level(percent: u64, warn: u64, critical: u64) -> FillLevel {
    match percent {
        _ if percent >= critical => FillLevel::Critical,
        _ if percent >= warn => FillLevel::Warning,
        _ => FillLevel::Fine,
    }
}

/// Whether terminals are told of `now`. `last`: what they were told last, and how long ago.
pub fn is_loud(now: FillLevel, last: Option<(FillLevel, Duration)>) -> bool {
    now != FillLevel::Fine && last.is_none_or(|(told, ago)| now > told || ago >= SILENCE)
}

/// What an upper can run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// Bytes of its file system.
    Bytes,
    /// Inodes of its file system.
    Inodes,
    /// RAM and swap, for an upper in RAM.
    Memory,
    /// Bytes of the file system that holds a directory which is held to a size: what else lies there can fill it.
    Filesystem,
}

impl Resource {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Inodes => "inodes",
            Self::Memory => "memory",
            Self::Filesystem => "filesystem",
        }
    }
}

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Space {
    /// In use.
    pub used: u64,
    /// That can be had.
    pub available: u64,
}

impl Space {
    /// What the share in use is of: `df` counts so, too. What is kept back for root is in neither.
    pub fn all(self) -> u64 {
        self.used.saturating_add(self.available)
    }
}

/// One look at an upper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Bytes of the file system; 0 for a tmpfs without limit.
    pub bytes: u64,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that can be had; those kept back for root can't by an overlay.
    pub available: u64,
    /// Inodes in all; 0 where there is no fixed number.
    pub inodes: u64,
    /// Inodes in use.
    pub inodes_used: u64,
    /// The machine's memory, where the upper is in it.
    pub memory: Option<Memory>,
    /// The file system that holds the upper, where the upper is held to a size of its own; the numbers above are the
    /// upper's then.
    pub outer: Option<Space>,
}

impl Reading {
    /// What a new size depends on.
    pub fn usage(&self) -> Usage {
        let Memory { ram, swap, .. } = self.memory.unwrap_or_default();
        let Self { bytes, used, inodes, inodes_used, .. } = *self;
        Usage { bytes, used, inodes, inodes_used, ram, swap }
    }

    /// The bytes; their sum is what the share in use is of.
    pub fn space(&self) -> Space {
        Space { used: self.used, available: self.available }
    }

    /// How much of each resource is taken, in hundredths of a percent.
    pub fn shares(&self) -> Vec<(Resource, u64)> {
        let mut found = Vec::new();
        if self.bytes > 0 {
            found.push((Resource::Bytes, share(self.used, self.space().all())));
        }
        if self.inodes > 0 {
            found.push((Resource::Inodes, share(self.inodes_used, self.inodes)));
        }
        if let Some(memory) = self.memory {
            // What holds the upper now, and what could hold more of it. Without a limit the kernel does not tell
            // what is in it, but what is in all tmpfs.
            let used = if self.bytes > 0 { self.used } else { memory.shared };
            let left = memory.available.saturating_add(memory.swap_free);
            found.push((Resource::Memory, share(used, used.saturating_add(left))));
        }
        if let Some(outer) = self.outer {
            found.push((Resource::Filesystem, share(outer.used, outer.all())));
        }
        found
    }

    /// The resource that is scarcest, and its share in hundredths of a percent.
    pub fn worst(&self) -> (Resource, u64) {
        let first = (Resource::Bytes, 0);
        self.shares().into_iter().fold(first, |worst, next| if next.1 > worst.1 { next } else { worst })
    }

    /// Percent of the scarcest resource.
    pub fn percent(&self) -> u64 {
        self.worst().1 / 100
    }
}

fn share(part: u64, all: u64) -> u64 {
    let share = (u128::from(part) * 10_000).checked_div(u128::from(all)).unwrap_or(0);
    u64::try_from(share).unwrap_or(10_000)
}

#[cfg(test)]
mod tests;

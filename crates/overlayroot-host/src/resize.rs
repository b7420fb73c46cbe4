// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl resize`: how large the upper in use becomes, or why not. Must not resize it.

use crate::watch::levels::Reading;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::size::human;
use overlayroot_core::value::size::{bytes_of, count_of};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A size, or a number of inodes, as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Exactly(u64),
    /// Percent, from 1 on: of RAM, or of the file system that holds the upper.
    Percent(u64),
    /// So many more.
    More(u64),
}

impl Amount {
    /// `2G`, `2GiB`, `50%`, `+512M`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let found = match (text.strip_prefix('+'), text.strip_suffix('%')) {
            (Some(more), None) => bytes_of(more).filter(|_| digit(more)).map(Self::More),
            (None, Some(percent)) => {
                percent.parse().ok().filter(|n| digit(percent) && (1..=1000).contains(n)).map(Self::Percent)
            }
            (None, None) => bytes_of(text).filter(|_| digit(text)).map(Self::Exactly),
            (Some(_), Some(_)) => None,
        };
        found
            .filter(|amount| !matches!(amount, Self::Exactly(0) | Self::More(0)))
            .ok_or_else(|| format!("'{}' is not a size such as 2G, 2GiB, +512M or 50%, and more than 0", escape(text)))
    }

    /// A number of inodes: `200k`, `+50000`.
    ///
    /// # Errors
    /// Anything else, percentages among it.
    pub fn parse_count(text: &str) -> Result<Self, String> {
        let plain = text.strip_prefix('+').unwrap_or(text);
        let amount = Self::parse(text).ok().filter(|_| count_of(plain).is_some());
        amount.ok_or_else(|| format!("'{}' is not a number such as 200k or +50k", escape(text)))
    }

    /// The number it comes to, where `now` are there, and percent are of `all`.
    pub fn of(self, now: u64, all: u64) -> u64 {
        match self {
            Self::Exactly(number) => number,
            Self::More(number) => now.saturating_add(number),
            Self::Percent(percent) => {
                let part = u128::from(all) * u128::from(percent) / 100;
                u64::try_from(part).unwrap_or(u64::MAX)
            }
        }
    }
}

/// New limits of a tmpfs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, whole pages.
    pub bytes: Option<u64>,
    /// Inodes.
    pub inodes: Option<u64>,
    /// What is worth saying before it is done.
    pub warnings: Vec<String>,
}

impl Limits {
    /// Options of the remount.
    pub fn options(&self) -> String {
        let size = self.bytes.map(|bytes| format!("size={bytes}"));
        let inodes = self.inodes.map(|inodes| format!("nr_inodes={inodes}"));
        size.into_iter().chain(inodes).collect::<Vec<_>>().join(",")
    }
}

const PAGE: u64 = 4096;

/// New limits of the tmpfs that is the upper. `force`: also beyond what RAM and swap hold.
///
/// # Errors
/// Why it can't be: less than is in it, larger than memory, or the kernel does not do it while it is mounted.
pub fn tmpfs(size: Option<Amount>, inodes: Option<Amount>, now: &Reading, force: bool) -> Result<Limits, String> {
    let memory = now.memory.unwrap_or_default();
    let mut limits = Limits::default();
    if let Some(size) = size {
        if now.bytes == 0 {
            return Err("the upper has no limit of bytes, and a tmpfs can't be given one while it is mounted: \
                        rd.overlay=tmpfs:size=SIZE does at the next boot"
                .to_owned());
        }
        let bytes = size.of(now.bytes, memory.ram) / PAGE * PAGE;
        if bytes < now.used || bytes == 0 {
            return Err(format!("{} is less than the {} in use", told(bytes), told(now.used)));
        }
        let most = memory.ram.saturating_add(memory.swap);
        if most > 0 && bytes > most {
            let (bytes, most) = (told(bytes), told(most));
            let text = format!("{bytes} is larger than RAM and swap ({most}): the system would run out of memory");
            if !force {
                return Err(format!("{text}; --force resizes it anyway"));
            }
            limits.warnings.push(text);
        }
        limits.bytes = Some(bytes);
    }
    if let Some(inodes) = inodes {
        if now.inodes == 0 {
            return Err("the upper has no limit of inodes, and a tmpfs can't be given one while it is mounted: \
                        rd.overlay=tmpfs:nr_inodes=N does at the next boot"
                .to_owned());
        }
        let number = inodes.of(now.inodes, 0);
        if number < now.inodes_used {
            return Err(format!("{number} inodes are less than the {} in use", now.inodes_used));
        }
        limits.inodes = Some(number);
    }
    Ok(limits)
}

/// Bytes to grow the upper's loop file to, in whole MiB. `now`: of the file, `all`: of the file system that holds it.
///
/// # Errors
/// Where that is not more.
pub fn file(size: Amount, now: u64, all: u64) -> Result<u64, String> {
    let bytes = size.of(now, all) >> 20 << 20;
    match bytes > now {
        true => Ok(bytes),
        false => Err(format!(
            "{} is not more than the {} of the file, and a mounted file system is not made smaller; for \
             a smaller file, boot with rd.overlay=0 and create it again",
            told(bytes),
            told(now)
        )),
    }
}

/// Bytes that a directory is to be held to. `all`: of the root's file system.
///
/// # Errors
/// Where it holds as much already, or there is no limit to change.
pub fn quota(size: Amount, now: &Reading, all: u64) -> Result<u64, String> {
    if now.bytes >= all {
        return Err("the directory is not held to a size: it has the room of the root's whole file system. Boot with \
                    rd.overlay=dir:PATH,size=SIZE to limit it, or make room in the root"
            .to_owned());
    }
    let bytes = size.of(now.bytes, all) >> 20 << 20;
    if bytes <= now.used {
        return Err(format!("{} is not more than the {} in use", told(bytes), told(now.used)));
    }
    Ok(bytes)
}

/// Bytes for a person.
pub fn told(bytes: u64) -> String {
    let whole = bytes >> 20 << 20;
    if bytes >> 20 == 0 { human(bytes >> 10 << 10) } else { human(whole) }
}

/// Version of [`Resized`]; raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// That the upper's size is not what the boot made it (`/run/overlayroot/resized.json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resized {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Bytes after the boot; 0 where that did not change.
    pub bytes_before: u64,
    /// Bytes now.
    pub bytes: u64,
    /// Inodes after the boot; 0 where that did not change.
    pub inodes_before: u64,
    /// Inodes now.
    pub inodes: u64,
    /// Whether the next boot has it as well.
    pub lasts: bool,
    /// Seconds since 1970.
    pub at: u64,
}

impl Resized {
    /// Nothing of it changed yet.
    pub fn none(lasts: bool, at: u64) -> Self {
        Self { schema: SCHEMA, bytes_before: 0, bytes: 0, inodes_before: 0, inodes: 0, lasts, at }
    }

    /// What remains of an earlier change is that it began somewhere else.
    pub fn after(self, earlier: Option<Self>) -> Self {
        let Some(earlier) = earlier else {
            return self;
        };
        let first = |earlier: u64, now: u64| if earlier > 0 { earlier } else { now };
        let last = |earlier: u64, now: u64| if now > 0 { now } else { earlier };
        Self {
            bytes_before: first(earlier.bytes_before, self.bytes_before),
            bytes: last(earlier.bytes, self.bytes),
            inodes_before: first(earlier.inodes_before, self.inodes_before),
            inodes: last(earlier.inodes, self.inodes),
            ..self
        }
    }
}

impl fmt::Display for Resized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = (self.bytes > 0).then(|| format!("{} instead of {}", told(self.bytes), told(self.bytes_before)));
        let inodes = (self.inodes > 0).then(|| format!("{} inodes instead of {}", self.inodes, self.inodes_before));
        let both: Vec<String> = bytes.into_iter().chain(inodes).collect();
        let until = if self.lasts { "stays" } else { "until the next boot" };
        write!(f, "{}; {until}", both.join(", "))
    }
}

#[cfg(test)]
mod tests;

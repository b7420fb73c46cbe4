// SPDX-License-Identifier: GPL-2.0-or-later
//! What `overlayctl resize` has changed; how large an upper may get is in the module of its kind.

use overlayroot_core::value::amount::told;
use serde::{Deserialize, Serialize};
use std::fmt;

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
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_first_size_is_remembered() {
        let first = Resized { bytes_before: 512 * MIB, bytes: 800 * MIB, ..Resized::none(false, 1) };
        let second =
            Resized { bytes_before: 800 * MIB, bytes: 1024 * MIB, inodes_before: 100, inodes: 200, ..first.clone() };
        let both = second.after(Some(first));
        assert_eq!(both.to_string(), "1G instead of 512M, 200 inodes instead of 100; until the next boot");
        let inodes = Resized { inodes_before: 200, inodes: 300, ..Resized::none(false, 3) };
        let all = inodes.after(Some(both));
        assert_eq!((all.bytes, all.inodes_before, all.inodes, all.at), (1024 * MIB, 100, 300, 3));
    }
}

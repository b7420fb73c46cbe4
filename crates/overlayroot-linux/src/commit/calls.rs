// SPDX-License-Identifier: GPL-2.0-or-later
//! Each change of one of the two trees has its number, so that a test can end a run behind any of them.

use anyhow::Result;
use rustix::io::Errno;
use std::fmt;
use std::io;

/// Counts the system calls that change something.
#[derive(Debug, Default)]
pub struct Calls {
    made: u64,
    most: Option<u64>,
}

/// The run ends here, as by a power cut: nothing is tidied up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

impl Calls {
    /// Ends behind so many changes.
    pub fn first(most: u64) -> Self {
        Self { made: 0, most: Some(most) }
    }

    /// How many there were.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// Before each of them.
    ///
    /// # Errors
    /// [`Cut`], where it is not to be made any more.
    pub(super) fn next(&mut self) -> Result<()> {
        if self.most.is_some_and(|most| self.made >= most) {
            return Err(Cut.into());
        }
        self.made += 1;
        Ok(())
    }
}

/// What an error is for the rest of the run.
pub(super) enum Weight {
    /// All ends at once.
    Cut,
    /// Nothing more can be done on this file system.
    Ends,
    /// The next path may do better.
    OfThis,
}

pub(super) fn weight(error: &anyhow::Error) -> Weight {
    if error.is::<Cut>() {
        return Weight::Cut;
    }
    let of_link = |cause: &(dyn std::error::Error + 'static)| {
        let by_std = |error: &io::Error| error.raw_os_error().map(Errno::from_raw_os_error);
        cause.downcast_ref::<Errno>().copied().or_else(|| cause.downcast_ref::<io::Error>().and_then(by_std))
    };
    match error.chain().find_map(of_link) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::ROFS | Errno::NOMEM | Errno::MFILE) => Weight::Ends,
        Some(_) | None => Weight::OfThis,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn a_full_disk_ends_it_whoever_says_so() {
        let ends = |error: anyhow::Error| matches!(weight(&error), Weight::Ends);
        assert!(ends(anyhow!(Errno::NOSPC)) && ends(anyhow!(Errno::DQUOT).context("copying /a")));
        assert!(ends(anyhow!(io::Error::from_raw_os_error(28)).context("a").context("b")));
        assert!(!ends(anyhow!(Errno::PERM)) && !ends(anyhow!("no number")));
        let mut calls = Calls::first(1);
        calls.next().unwrap();
        let cut = calls.next().context("more").unwrap_err();
        assert!(matches!(weight(&cut), Weight::Cut) && calls.made() == 1);
    }
}

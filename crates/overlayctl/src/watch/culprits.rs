// SPDX-License-Identifier: GPL-2.0-or-later
//! Who fills the upper: its sizes by directory when the watch began, against those of now.

use crate::status::human;
use overlayroot_core::growth::{Grown, Sizes, ranking};
use overlayroot_core::issue::shown;
use overlayroot_core::levels::Resource;
use overlayroot_core::paths;
use overlayroot_linux::{store, treesize, upperfill};
use std::fmt;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So many are named.
const MOST: usize = 5;
/// A walk at a level ends after this time with what it has seen.
const LONGEST: Duration = Duration::from_secs(5);

/// Knows what the upper held in the beginning.
pub struct Culprits {
    thread: Option<JoinHandle<Option<Sizes>>>,
    begin: Option<Sizes>,
}

/// Those that were found.
pub struct Found {
    /// The worst first.
    pub list: Vec<Grown>,
    resource: Resource,
    /// Whether there is a beginning that they grew from.
    grew: bool,
    whole: bool,
}

impl Culprits {
    /// Takes the table of this boot, or has it made by a thread with the least of CPU and disk.
    pub fn begin(upper: &str) -> Self {
        let stored = std::fs::read_to_string(paths::SIZES).ok();
        if let Some(begin) = stored.as_deref().and_then(Sizes::parse) {
            return Self { thread: None, begin: Some(begin) };
        }
        let upper = upper.to_owned();
        let walk = move || {
            upperfill::be_nice();
            let walked = treesize::sizes(&upper, None);
            let sizes = walked.map_err(|error| eprintln!("overlayctl: {error:#}")).ok()?.sizes;
            // Only a watch that is started again would miss it.
            let _ = store::write_atomic(paths::SIZES, &sizes.to_text());
            Some(sizes)
        };
        // Without the thread the largest are named, not those that grew.
        let thread = std::thread::Builder::new().name("sizes".to_owned()).spawn(walk).ok();
        Self { thread, begin: None }
    }

    /// Walks the upper, and names what grew most of `resource`; where nothing did or nobody knows, what is largest.
    pub fn find(&mut self, upper: &str, resource: Resource) -> Found {
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            self.begin = thread.join().ok().flatten();
        }
        let mut found = Found { list: Vec::new(), resource, grew: false, whole: true };
        let Ok(now) = treesize::sizes(upper, Some(Instant::now() + LONGEST)) else {
            return found;
        };
        found.whole = now.whole;
        if let Some(begin) = &self.begin {
            found.list = ranking(begin, &now.sizes, resource, MOST);
            found.grew = !found.list.is_empty();
        }
        if !found.grew {
            found.list = ranking(&Sizes::default(), &now.sizes, resource, MOST);
        }
        found
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.list.is_empty() {
            return Ok(());
        }
        let sign = if self.grew { "+" } else { "" };
        let amount = |one: &Grown| match self.resource {
            Resource::Inodes => format!("{sign}{} files", one.by.inodes),
            _ => format!("{sign}{}", human(one.by.bytes)),
        };
        let list: Vec<String> =
            self.list.iter().map(|one| format!("{} {}", shown(&one.directory), amount(one))).collect();
        let what = if self.grew { "grew most since the boot" } else { "largest" };
        let rest = if self.whole { "" } else { " (not all was counted)" };
        write!(f, "; {what}: {}{rest}", list.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlayroot_core::growth::Tally;

    #[test]
    fn words() {
        let one = |directory: &str, mib: u64| Grown {
            directory: directory.into(),
            by: Tally { bytes: mib << 20, inodes: mib },
        };
        let mut found = Found {
            list: vec![one("/var/log/app", 300), one("/bad\u{1b}[2J", 2)],
            resource: Resource::Bytes,
            grew: true,
            whole: true,
        };
        let want = "; grew most since the boot: /var/log/app +300.0 MiB, /bad\\u{1b}[2J +2.0 MiB";
        assert_eq!(found.to_string(), want);
        (found.resource, found.grew, found.whole) = (Resource::Inodes, false, false);
        found.list.truncate(1);
        assert_eq!(found.to_string(), "; largest: /var/log/app 300 files (not all was counted)");
        found.list.clear();
        assert_eq!(found.to_string(), "");
    }
}

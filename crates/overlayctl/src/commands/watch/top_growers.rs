// SPDX-License-Identifier: GPL-2.0-or-later
//! Who fills the upper: its sizes by directory when the watch began, against those of now.

use crate::state::fill::Own;
use overlayroot_core::layout::paths;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::size::rounded;
use overlayroot_diff::usage::{Counter, Sum, count};
use overlayroot_diff::{Stat, shown as shown_bytes};
use overlayroot_host::watch::growth::{Grown, Sizes, Tally, ranking};
use overlayroot_host::watch::levels::Resource;
use overlayroot_linux::sys::{files, newfile};
use overlayroot_linux::tool::upperfill;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So many are named.
const MOST: usize = 5;
/// Most bytes of a table.
const MOST_SIZES: u64 = 64 << 20;
/// A walk at a level ends after this time with what it has seen.
const LONGEST: Duration = Duration::from_secs(5);

/// The clock is asked once in so many files.
const FILES: u32 = 256;

/// Knows what the upper held in the beginning.
pub struct TopGrowers {
    thread: Option<JoinHandle<Option<Sizes>>>,
    begin: Option<Sizes>,
}

/// Those that were found.
pub struct Found {
    /// The worst first.
    pub list: Vec<Grown>,
    /// What the upper holds, where it could be counted.
    pub own: Option<Own>,
    resource: Resource,
    /// Whether there is a beginning that they grew from.
    grew: bool,
    whole: bool,
}

impl TopGrowers {
    /// Takes the table of this boot, or has it made by a thread with the least of CPU and disk.
    pub fn begin(upper: &str) -> Self {
        let stored = files::read(paths::SIZES, MOST_SIZES).ok();
        let stored = stored.and_then(|text| String::from_utf8(text).ok());
        if let Some(begin) = stored.as_deref().and_then(Sizes::parse) {
            return Self { thread: None, begin: Some(begin) };
        }
        let upper = upper.to_owned();
        let walk = move || {
            upperfill::be_nice();
            let walked = Walked::of(&upper, None);
            let sizes = walked.map_err(|error| eprintln!("overlayctl: counting {upper}: {error}")).ok()?.sizes;
            // Only a watch that is started again would miss it.
            let _ = newfile::write_atomic(paths::SIZES, &sizes.to_text());
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
        let mut found = Found { list: Vec::new(), own: None, resource, grew: false, whole: true };
        let Ok(now) = Walked::of(upper, Some(Instant::now() + LONGEST)) else {
            return found;
        };
        found.whole = !now.cut;
        found.own = Some(Own { whole: !now.cut, bytes: now.all.bytes, inodes: now.all.inodes });
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

/// Sizes of the directories of a tree, as far as there was time.
struct Walked {
    sizes: Sizes,
    all: Tally,
    files: u32,
    end: Option<Instant>,
    cut: bool,
}

impl Walked {
    fn of(upper: &str, end: Option<Instant>) -> io::Result<Self> {
        let mut walked = Self { sizes: Sizes::default(), all: Tally::default(), files: 0, end, cut: false };
        count(Path::new(upper), b"/", &mut walked)?;
        Ok(walked)
    }
}

impl Walked {
    fn go_on(&mut self) -> ControlFlow<()> {
        self.files = self.files.wrapping_add(1);
        self.cut |= self.files % FILES == 0 && self.end.is_some_and(|end| Instant::now() >= end);
        if self.cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Counter for Walked {
    fn directory(&mut self, path: &[u8], depth: usize, sum: Sum, own: Sum) {
        if depth == 0 {
            self.all = Tally { bytes: sum.bytes, inodes: sum.inodes };
        }
        self.sizes.add(&shown_bytes(path), Tally { bytes: own.bytes, inodes: own.inodes });
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

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.list.is_empty() {
            return Ok(());
        }
        let sign = if self.grew { "+" } else { "" };
        let amount = |one: &Grown| match self.resource {
            Resource::Inodes => format!("{sign}{} files", one.by.inodes),
            Resource::Bytes | Resource::Memory | Resource::Filesystem => format!("{sign}{}", rounded(one.by.bytes)),
        };
        let list: Vec<String> =
            self.list.iter().map(|one| format!("{} {}", escape(&one.directory), amount(one))).collect();
        let what = if self.grew { "grew most since the boot" } else { "largest" };
        let rest = if self.whole { "" } else { " (not all was counted)" };
        write!(f, "; {what}: {}{rest}", list.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_grew_is_found_and_links_are_not_followed() {
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        fs::create_dir_all(at("var/log/app")).unwrap();
        fs::create_dir_all(at("etc")).unwrap();
        fs::write(at("etc/large"), vec![1; 3 << 20]).unwrap();
        let walk = || Walked::of(tree.path().to_str().unwrap(), None).unwrap();
        let before = walk();
        fs::write(at("var/log/app/log"), vec![1; 2 << 20]).unwrap();
        fs::write(at("var/log/app/more"), "").unwrap();
        std::os::unix::fs::symlink("/usr", at("etc/usr")).unwrap();
        std::os::unix::fs::symlink(at("etc"), at("var/etc")).unwrap();
        let after = walk();
        assert!(!before.cut && !after.cut);
        let found = ranking(&before.sizes, &after.sizes, Resource::Bytes, 5);
        assert_eq!(found[0].directory, "/var/log/app");
        let mib = found[0].by.bytes >> 20;
        assert!(mib == 2 && found[0].by.inodes == 2, "{found:?}");
        assert!(found.iter().all(|one| one.directory != "/etc"), "{found:?}");
    }

    #[test]
    fn it_ends_in_time() {
        let tree = tempfile::tempdir().unwrap();
        for number in 0..2 * FILES {
            fs::write(tree.path().join(number.to_string()), "").unwrap();
        }
        let top = tree.path().to_str().unwrap();
        let cut = Walked::of(top, Some(Instant::now())).unwrap();
        assert!(cut.cut && cut.files == FILES && !cut.sizes.is_empty());
        assert!(Walked::of("/nowhere/at/all", None).is_err());
    }

    #[test]
    fn words() {
        let one = |directory: &str, mib: u64| Grown {
            directory: directory.into(),
            by: Tally { bytes: mib << 20, inodes: mib },
        };
        let mut found = Found {
            list: vec![one("/var/log/app", 300), one("/bad\u{1b}[2J", 2)],
            own: None,
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

// SPDX-License-Identifier: GPL-2.0-or-later
//! Random trees, random work in real overlays, and the diff held against a comparison of both trees from end to end,
//! as they are seen through the mounts. PROPTEST_CASES for more than the usual number.
#![allow(missing_docs)]

mod trees;
mod work;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use overlayroot_diff::{Change, Kind, Layers, Options, Visitor, walk};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use trees::{Tree, expected, tree};
use work::{Op, act, op};

const NO: Option<&str> = None;

/// A path, and what it holds now and held.
type Contents = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

#[derive(Default)]
struct Found {
    changes: BTreeMap<Vec<u8>, Kind>,
    contents: Vec<Contents>,
    twice: Vec<Vec<u8>>,
    problems: Vec<String>,
}

fn bytes(file: io::Result<Option<File>>) -> Option<Vec<u8>> {
    use std::io::Read;
    file.unwrap().map(|mut file| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

impl Visitor for Found {
    fn change(&mut self, change: &Change<'_>) -> ControlFlow<()> {
        if self.changes.insert(change.path.to_vec(), change.kind).is_some() {
            self.twice.push(change.path.to_vec());
        }
        if change.kind == Kind::Modified {
            self.contents.push((change.path.to_vec(), bytes(change.open_now()), bytes(change.open_was())));
        }
        ControlFlow::Continue(())
    }
    fn problem(&mut self, path: &[u8], error: io::Error) {
        self.problems.push(format!("{}: {error}", overlayroot_diff::shown(path)));
    }
}

fn found(layers: &Layers, options: &Options) -> Found {
    let mut found = Found::default();
    walk(layers, b"/", options, &mut found).unwrap();
    found
}

struct Overlay(PathBuf);

impl Overlay {
    fn mount(top: &Path, name: &str, lowers: &[&str], options: &str) -> Self {
        let dir = |what: &str| {
            let dir = top.join(format!("{name}{what}"));
            fs::create_dir_all(&dir).unwrap();
            dir
        };
        let lowers: Vec<_> = lowers.iter().map(|lower| top.join(lower).display().to_string()).collect();
        let data = format!(
            "lowerdir={},upperdir={},workdir={},redirect_dir=on,{options}",
            lowers.join(":"),
            dir("").display(),
            dir("-work").display()
        );
        let at = dir("-merged");
        mount(Some("overlay"), &at, Some("overlay"), MsFlags::empty(), Some(data.as_str())).expect("an overlay");
        Self(at)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::empty()).expect("unmounting the overlay");
    }
}

fn case(top: &Path, options: &str, work: &[Vec<Op>; 3]) -> Result<(), TestCaseError> {
    mount(Some("layers"), top, Some("tmpfs"), MsFlags::empty(), NO).expect("a tmpfs");
    let result = compare(top, options, work);
    umount2(top, MntFlags::MNT_DETACH).expect("unmounting it");
    result
}

fn compare(top: &Path, options: &str, [base, middle, above]: &[Vec<Op>; 3]) -> Result<(), TestCaseError> {
    // With an index all names of a lower file change at once, though the upper has but one: docs/guide/changes.md.
    let unlinked = |op: &&Op| !(options.contains("index=on") && matches!(op, Op::Link(..)));
    let all = |top: &Path, ops: &[Op]| ops.iter().for_each(|op| drop(act(top, op)));
    let below = |ops: &[Op]| ops.iter().filter(unlinked).cloned().collect::<Vec<_>>();
    let (base, middle) = (&below(base), &below(middle));
    fs::create_dir(top.join("lower")).unwrap();
    chown(top.join("lower"), Some(0), Some(0)).unwrap();
    all(&top.join("lower"), base);
    // a lower that has whiteouts, opaque directories and redirects of its own
    all(&Overlay::mount(top, "middle", &["lower"], options).0, middle);
    let overlay = Overlay::mount(top, "upper", &["middle", "lower"], options);
    let was = tree(&overlay.0);
    all(&overlay.0, above);
    let now = tree(&overlay.0);
    let layers = Layers::open(top.join("upper"), [top.join("middle"), top.join("lower")], false).unwrap();
    let want = expected(&now, &was);
    let whole = found(&layers, &Options { expand: true, stat: true, detail: true, ..Options::default() });
    prop_assert_eq!(&whole.problems, &Vec::<String>::new());
    prop_assert_eq!(&whole.twice, &Vec::<Vec<u8>>::new());
    prop_assert_eq!(&whole.changes, &want);
    for (path, after, before) in &whole.contents {
        if now[path].kind == 8 {
            prop_assert_eq!(after.as_ref(), Some(&now[path].content));
            prop_assert_eq!(before.as_ref(), Some(&was[path].content));
        }
    }
    let quick = found(&layers, &Options { expand: true, ..Options::default() });
    prop_assert_eq!(&quick.changes, &want, "without looking at what is new");
    // In short, a removed directory stands for what was in it, and a renamed one for what it brought along.
    let short = found(&layers, &Options::default());
    prop_assert_eq!(&short.problems, &Vec::<String>::new());
    if !short.changes.values().any(|kind| *kind == Kind::Renamed) {
        let mut want = want.clone();
        want.retain(|path, kind| *kind != Kind::Removed || !gone_with_its_parent(path, &now));
        prop_assert_eq!(&short.changes, &want);
    }
    // what is asked for alone is what the whole has there
    for path in now.keys().take(6) {
        let mut part = Found::default();
        walk(&layers, path, &Options { expand: true, ..Options::default() }, &mut part).unwrap();
        let inside = |other: &Vec<u8>| other == path || other.starts_with(&[path.as_slice(), b"/"].concat());
        let mut want = want.clone();
        want.retain(|other, _| inside(other));
        prop_assert_eq!(&part.changes, &want, "of {}", overlayroot_diff::shown(path));
    }
    Ok(())
}

fn gone_with_its_parent(path: &[u8], now: &Tree) -> bool {
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let parent = &path[..end];
    !parent.is_empty() && now.get(parent).is_none_or(|parent| parent.kind != 4)
}

fn cases(options: &'static str) {
    assert!(nix::unistd::geteuid().is_root(), "the rootns tier needs root: sudo make test-rootns");
    let top = tempfile::tempdir().unwrap();
    let at = top.path().to_owned();
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS).expect("a private namespace");
        mount(NO, "/", NO, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NO).expect("making / private");
        let number = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
        let config = Config { cases: number, failure_persistence: None, ..Config::default() };
        let work = [4..30, 0..12, 1..30].map(|number| prop::collection::vec(op(), number));
        let ran = TestRunner::new(config).run(&work, |work| case(&at, options, &work));
        ran.unwrap_or_else(|error| panic!("{error}"));
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn with_renamed_directories() {
    cases("index=off,metacopy=off");
}

#[test]
fn with_metacopy_and_index() {
    cases("index=on,metacopy=on");
}

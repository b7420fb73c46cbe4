// SPDX-License-Identifier: GPL-2.0-or-later
//! Random trees, random work in real overlays, and the diff held against a comparison of both trees from end to end,
//! as they are seen through the mounts. PROPTEST_CASES for more than the usual number.
#![allow(missing_docs)]
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use overlayroot_diff::{Change, Kind, Layers, Options, Visitor, walk};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use rustix::fs::XattrFlags;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Seek, Write};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

const NO: Option<&str> = None;
/// Few, so that they meet.
const NAMES: [&[u8]; 4] = [b"a", b"b", b"c\xff", b"d"];

#[derive(Debug, Clone)]
enum Op {
    Write(Vec<usize>, u8),
    /// The same size, and the time set back: only reading tells.
    Sneak(Vec<usize>, u8),
    /// Copied up and left alone.
    Open(Vec<usize>),
    Truncate(Vec<usize>),
    Chmod(Vec<usize>, u8),
    Chown(Vec<usize>, u8),
    Xattr(Vec<usize>, u8),
    Touch(Vec<usize>),
    Mkdir(Vec<usize>),
    Replace(Vec<usize>),
    Remove(Vec<usize>),
    Rename(Vec<usize>, Vec<usize>),
    Link(Vec<usize>, Vec<usize>),
    Symlink(Vec<usize>, u8),
    Fifo(Vec<usize>),
}

fn path() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..NAMES.len(), 1..4)
}

fn op() -> impl Strategy<Value = Op> {
    use Op::*;
    prop_oneof![
        4 => (path(), 0..4_u8).prop_map(|(path, byte)| Write(path, byte)),
        1 => (path(), 0..4_u8).prop_map(|(path, byte)| Sneak(path, byte)),
        1 => path().prop_map(Open),
        1 => path().prop_map(Truncate),
        2 => (path(), 0..3_u8).prop_map(|(path, mode)| Chmod(path, mode)),
        1 => (path(), 0..3_u8).prop_map(|(path, id)| Chown(path, id)),
        2 => (path(), 0..3_u8).prop_map(|(path, value)| Xattr(path, value)),
        1 => path().prop_map(Touch),
        4 => path().prop_map(Mkdir),
        1 => path().prop_map(Replace),
        2 => path().prop_map(Remove),
        5 => (path(), path()).prop_map(|(from, to)| Rename(from, to)),
        1 => (path(), path()).prop_map(|(from, to)| Link(from, to)),
        1 => (path(), 0..3_u8).prop_map(|(path, to)| Symlink(path, to)),
        1 => path().prop_map(Fifo),
    ]
}

fn at(top: &Path, path: &[usize]) -> PathBuf {
    path.iter().fold(top.to_path_buf(), |at, name| at.join(OsStr::from_bytes(NAMES[*name])))
}

/// Not through a link: that would leave the tree, or loop.
fn file(at: &Path, options: &mut OpenOptions) -> io::Result<File> {
    match fs::symlink_metadata(at) {
        Ok(found) if !found.is_file() => Err(io::ErrorKind::InvalidInput.into()),
        _ => options.open(at),
    }
}

fn remove(at: &Path) -> io::Result<()> {
    match fs::symlink_metadata(at)?.is_dir() {
        true => fs::remove_dir_all(at),
        false => fs::remove_file(at),
    }
}

/// What can't be done is left undone: random work often makes no sense.
fn act(top: &Path, op: &Op) -> io::Result<()> {
    let at = |path: &[usize]| at(top, path);
    match op {
        Op::Write(path, byte) => {
            let mut file = file(&at(path), OpenOptions::new().write(true).create(true).truncate(true))?;
            file.write_all(&vec![b'0' + byte; 3 + usize::from(*byte) / 2])
        }
        Op::Sneak(path, byte) => {
            let mut file = file(&at(path), OpenOptions::new().read(true).write(true))?;
            let (size, time) = (file.metadata()?.len(), file.metadata()?.modified()?);
            file.seek(io::SeekFrom::Start(0))?;
            file.write_all(&vec![b'0' + byte; usize::try_from(size).unwrap()])?;
            file.set_times(FileTimes::new().set_modified(time))
        }
        Op::Open(path) => file(&at(path), OpenOptions::new().read(true).write(true)).map(drop),
        Op::Truncate(path) => file(&at(path), OpenOptions::new().write(true))?.set_len(4),
        Op::Chmod(path, mode) => {
            let found = fs::symlink_metadata(at(path))?;
            let mode = [0o700, 0o755, 0o1777][usize::from(*mode)];
            if found.is_symlink() { Ok(()) } else { fs::set_permissions(at(path), fs::Permissions::from_mode(mode)) }
        }
        Op::Chown(path, id) => std::os::unix::fs::lchown(at(path), Some((*id).into()), None),
        Op::Xattr(path, value) => {
            rustix::fs::lsetxattr(at(path), "trusted.test", &[*value], XattrFlags::empty()).map_err(Into::into)
        }
        Op::Touch(path) => {
            let file = file(&at(path), OpenOptions::new().write(true))?;
            file.set_times(FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH))
        }
        Op::Mkdir(path) => fs::create_dir_all(at(path)),
        Op::Replace(path) => {
            remove(&at(path))?;
            fs::create_dir(at(path))
        }
        Op::Remove(path) => remove(&at(path)),
        Op::Rename(from, to) => fs::rename(at(from), at(to)),
        Op::Link(from, to) => fs::hard_link(at(from), at(to)),
        Op::Symlink(path, to) => symlink(["x", "yy", "xx"][usize::from(*to)], at(path)),
        Op::Fifo(path) => {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            mknodat(CWD, at(path), FileType::Fifo, Mode::RUSR, 0).map_err(Into::into)
        }
    }
}

/// All that a file is, but its times.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    kind: u32,
    meta: (u32, u32, u32, Vec<u8>),
    content: Vec<u8>,
}

type Tree = BTreeMap<Vec<u8>, Node>;

fn tree(top: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(top.join(&directory)).unwrap() {
            let path = directory.join(entry.unwrap().file_name());
            let full = top.join(&path);
            let found = fs::symlink_metadata(&full).unwrap();
            let content = match () {
                () if found.is_file() => fs::read(&full).unwrap(),
                () if found.is_symlink() => fs::read_link(&full).unwrap().as_os_str().as_bytes().to_vec(),
                () => Vec::new(),
            };
            let mut value = [0; 8];
            let xattr = match rustix::fs::lgetxattr(&full, "trusted.test", &mut value) {
                Ok(len) => value[..len].to_vec(),
                Err(_) => Vec::new(),
            };
            let meta = (found.mode() & 0o7777, found.uid(), found.gid(), xattr);
            tree.insert([b"/", path.as_os_str().as_bytes()].concat(), Node { kind: found.mode() >> 12, meta, content });
            if found.is_dir() {
                waiting.push(path);
            }
        }
    }
    tree
}

/// The simple way: both trees, path by path.
fn expected(now: &Tree, was: &Tree) -> BTreeMap<Vec<u8>, Kind> {
    let mut changes = BTreeMap::new();
    for path in now.keys().chain(was.keys()) {
        let kind = match (now.get(path), was.get(path)) {
            (Some(_), None) => Kind::Added,
            (None, _) => Kind::Removed,
            (Some(now), Some(was)) if now == was => continue,
            (Some(now), Some(was)) if now.kind != was.kind => Kind::TypeChanged,
            (Some(now), Some(was)) if now.content != was.content => Kind::Modified,
            _ => Kind::Metadata,
        };
        changes.insert(path.clone(), kind);
    }
    changes
}

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

// SPDX-License-Identifier: GPL-2.0-or-later
//! Trees made by hand, as overlayfs would have left them, with `user.overlay.*`: no root is needed where whiteouts are
//! files with an attribute. What the kernel itself leaves is in tests/rootns/tests/host/diff.rs.
use super::*;
use crate::shown;
use rustix::fs::XattrFlags;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

mod many;

struct Trees(tempfile::TempDir);

#[derive(Default)]
struct Seen(Vec<String>);

impl Visitor for Seen {
    fn change(&mut self, change: &Change<'_>) -> ControlFlow<()> {
        let from = change.from.map_or(String::new(), |from| format!(" < {}", shown(from)));
        let slash = if change.is == Type::Directory { "/" } else { "" };
        self.0.push(format!("{} {}{slash}{from}", change.kind.letter(), shown(change.path)));
        ControlFlow::Continue(())
    }
    fn problem(&mut self, path: &[u8], error: io::Error) {
        self.0.push(format!("! {} {error}", shown(path)));
    }
}

impl Trees {
    /// Below the crate, for /tmp may be a file system without `user.*`.
    fn new() -> Self {
        let trees = Self(tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap());
        for layer in ["upper", "middle", "lower"] {
            fs::create_dir(trees.at(layer)).unwrap();
        }
        trees
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn file(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn mark(&self, path: &str, name: &str, value: &str) {
        let name = format!("user.overlay.{name}");
        rustix::fs::lsetxattr(self.at(path), name, value.as_bytes(), XattrFlags::empty()).unwrap();
    }

    fn whiteout(&self, path: &str) {
        self.file(path, "");
        self.mark(path, "whiteout", "y");
        self.mark(path.rsplit_once('/').unwrap().0, "opaque", "x");
    }

    fn changes(&self, path: &str, lowers: &[&str], options: &Options) -> Vec<String> {
        let lowers: Vec<_> = lowers.iter().map(|layer| self.at(layer)).collect();
        let layers = Layers::open(self.at("upper"), lowers, true).unwrap();
        let mut seen = Seen::default();
        walk(&layers, path.as_bytes(), options, &mut seen).unwrap();
        seen.0
    }

    fn all(&self) -> Vec<String> {
        self.changes("/", &["lower"], &Options::default())
    }
}

#[test]
fn each_kind_of_change() {
    let trees = Trees::new();
    for (path, text) in [("same", "1"), ("size", "1"), ("bytes", "1"), ("mode", "1"), ("gone", "1"), ("tree/x", "1")] {
        trees.file(&format!("lower/etc/{path}"), text);
    }
    for (path, text) in [("same", "1"), ("size", "11"), ("bytes", "2"), ("mode", "1"), ("new", "1"), ("tree", "1")] {
        trees.file(&format!("upper/etc/{path}"), text);
    }
    fs::set_permissions(trees.at("upper/etc/mode"), fs::Permissions::from_mode(0o600)).unwrap();
    trees.whiteout("upper/etc/gone");
    trees.whiteout("upper/etc/of-nothing");
    trees.file("upper/srv/a/b", "1");
    std::os::unix::fs::symlink("a", trees.at("upper/etc/link")).unwrap();
    std::os::unix::fs::symlink("b", trees.at("lower/etc/link")).unwrap();
    let want = [
        "M /etc/bytes",
        "D /etc/gone",
        "M /etc/link",
        "m /etc/mode",
        "A /etc/new",
        "M /etc/size",
        "T /etc/tree",
        "A /srv/",
        "A /srv/a/",
        "A /srv/a/b",
    ];
    assert_eq!(trees.all(), want);
    let stat = Options { stat: true, detail: true, ..Options::default() };
    assert_eq!(trees.changes("/", &["lower"], &stat), want, "looking closer changes nothing");
    let same = trees.changes("/etc/same", &["lower"], &Options { same: true, ..Options::default() });
    assert_eq!(same, ["= /etc/same"]);
    let expanded = trees.changes("/etc/tree", &["lower"], &Options { expand: true, ..Options::default() });
    assert_eq!(expanded, ["T /etc/tree", "D /etc/tree/x"]);
    let hidden = Options { hidden: vec![b"/etc".to_vec(), b"/srv/a".to_vec()], ..Options::default() };
    assert_eq!(trees.changes("/", &["lower"], &hidden), ["A /srv/"]);
}

#[test]
fn a_path_alone() {
    let trees = Trees::new();
    trees.file("lower/etc/a", "1");
    trees.file("lower/usr/b/c", "1");
    trees.file("upper/etc/a", "2");
    trees.whiteout("upper/usr");
    trees.file("upper/new/x", "2");
    let at = |path: &str| trees.changes(path, &["lower"], &Options::default());
    assert_eq!(at("/etc"), ["M /etc/a"]);
    assert_eq!(at("etc/a/"), ["M /etc/a"]);
    assert_eq!(at("/usr/b/c"), ["D /usr/b/c"], "with what it was in");
    assert_eq!(at("/usr/b"), ["D /usr/b/"]);
    assert_eq!(at("/new"), ["A /new/", "A /new/x"]);
    let layers = Layers::open(trees.at("upper"), [trees.at("lower")], true).unwrap();
    for path in ["/nowhere", "/etc/a/b", "/etc/nowhere/x", "/usr/nowhere"] {
        let error = walk(&layers, path.as_bytes(), &Options::default(), &mut Seen::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{path}");
    }
}

#[test]
fn an_opaque_directory_hides_what_it_does_not_have() {
    let trees = Trees::new();
    for path in ["d/kept", "d/gone", "d/sub/x"] {
        trees.file(&format!("lower/{path}"), "1");
    }
    trees.file("upper/d/kept", "1");
    trees.file("upper/d/new", "1");
    trees.mark("upper/d", "opaque", "y");
    assert_eq!(trees.all(), ["D /d/gone", "A /d/new", "D /d/sub/"]);
    let layers = Layers::open(trees.at("upper"), [trees.at("lower")], false).unwrap();
    let mut seen = Seen::default();
    walk(&layers, b"/", &Options::default(), &mut seen).unwrap();
    assert_eq!(seen.0, ["m /d/", "A /d/new"], "a user's own attribute means nothing without userxattr");
}

#[test]
fn a_renamed_directory_shows_what_was_elsewhere() {
    let trees = Trees::new();
    for path in ["a/x", "a/y", "a/sub/z"] {
        trees.file(&format!("lower/{path}"), "1");
    }
    trees.file("upper/b/x", "2");
    trees.mark("upper/b", "redirect", "a");
    trees.file("upper/deep/er/z", "2");
    trees.mark("upper/deep/er", "redirect", "/a/sub");
    trees.whiteout("upper/b/sub");
    trees.whiteout("upper/a");
    let want = ["D /a/", "R /b/ < /a", "D /b/sub/", "M /b/x", "A /deep/", "R /deep/er/ < /a/sub", "M /deep/er/z"];
    assert_eq!(trees.all(), want);
    let expand = Options { expand: true, stat: true, ..Options::default() };
    let want = [
        "D /a/",
        "D /a/sub/",
        "D /a/sub/z",
        "D /a/x",
        "D /a/y",
        "A /b/",
        "A /b/x",
        "A /b/y",
        "A /deep/",
        "A /deep/er/",
        "A /deep/er/z",
    ];
    assert_eq!(trees.changes("/", &["lower"], &expand), want);
}

#[test]
fn data_that_is_still_below_is_found_there() {
    let trees = Trees::new();
    trees.file("lower/a", "text");
    trees.file("lower/other", "next");
    for (file, redirect) in [("a", None), ("other", Some("/a"))] {
        fs::File::create(trees.at(&format!("upper/{file}"))).unwrap().set_len(4).unwrap();
        trees.mark(&format!("upper/{file}"), "metacopy", "");
        if let Some(to) = redirect {
            trees.mark(&format!("upper/{file}"), "redirect", to);
        }
    }
    fs::set_permissions(trees.at("upper/a"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(trees.all(), ["m /a", "M /other"]);
}

#[test]
fn the_lowers_are_merged_as_the_kernel_merges_them() {
    let trees = Trees::new();
    for path in ["etc/low", "etc/both", "etc/gone", "opaque/low", "moved/x"] {
        trees.file(&format!("lower/{path}"), "1");
    }
    trees.file("middle/etc/both", "2");
    trees.file("middle/opaque/mid", "1");
    trees.mark("middle/opaque", "opaque", "y");
    trees.whiteout("middle/etc/gone");
    fs::create_dir(trees.at("middle/to")).unwrap();
    trees.mark("middle/to", "redirect", "/moved");
    // what the upper has is what the middle shows
    for (path, text) in [("etc/low", "1"), ("etc/both", "2"), ("opaque/mid", "1"), ("to/x", "1")] {
        trees.file(&format!("upper/{path}"), text);
    }
    let both = ["middle", "lower"];
    assert_eq!(trees.changes("/", &both, &Options::default()), Vec::<String>::new());
    for (path, text) in [("etc/gone", "1"), ("opaque/low", "1"), ("to/x", "2"), ("to/y", "2")] {
        trees.file(&format!("upper/{path}"), text);
    }
    let want = ["A /etc/gone", "A /opaque/low", "M /to/x", "A /to/y"];
    assert_eq!(trees.changes("/", &both, &Options::default()), want);
}

#[test]
fn links_are_told_and_a_walk_can_be_ended() {
    struct First(Vec<bool>);
    impl Visitor for First {
        fn change(&mut self, change: &Change<'_>) -> ControlFlow<()> {
            self.0.push(change.again);
            if self.0.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        fn problem(&mut self, _: &[u8], _: io::Error) {}
    }
    let trees = Trees::new();
    trees.file("upper/a", "1");
    for name in ["b", "c"] {
        fs::hard_link(trees.at("upper/a"), trees.at(&format!("upper/{name}"))).unwrap();
    }
    let layers = Layers::open(trees.at("upper"), [trees.at("lower")], true).unwrap();
    let mut first = First(Vec::new());
    walk(&layers, b"/", &Options { stat: true, ..Options::default() }, &mut first).unwrap();
    assert_eq!(first.0, [false, true]);
}

#[test]
fn names_that_are_no_text_and_deep_trees() {
    use std::os::unix::ffi::OsStrExt;
    let trees = Trees::new();
    fs::write(trees.at("upper").join(std::ffi::OsStr::from_bytes(b"\xff\n")), "").unwrap();
    trees.file(&format!("upper/z{}/f", "/d".repeat(200)), "");
    let all = trees.all();
    assert_eq!((all[0].as_str(), all.len()), ("A /z/", 203));
    assert_eq!(all[202], "A /\\xff\\n");
}

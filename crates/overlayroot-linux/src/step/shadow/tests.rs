// SPDX-License-Identifier: GPL-2.0-or-later
//! What counts as hidden, on real files. Opaque directories need root: tests/rootns/tests/upper/stale.rs.
use super::*;
use crate::testing::on_cpu;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::time::Duration;

const ALL: Limits = Limits { entries: u64::MAX, until: None, listed: usize::MAX };

struct Layers(tempfile::TempDir);

impl Layers {
    fn new() -> Self {
        let layers = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(layers.at("upper")).unwrap();
        fs::create_dir_all(layers.at("lower")).unwrap();
        layers
    }

    fn at(&self, path: &str) -> String {
        self.0.path().join(path).to_str().unwrap().to_owned()
    }

    fn file(&self, path: &str) {
        let path = self.at(path);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }

    /// The time after everything so far; what follows is later.
    fn since(&self) -> i64 {
        fs::write(self.at("now"), "x").unwrap();
        let now = fs::metadata(self.at("now")).unwrap().ctime();
        std::thread::sleep(Duration::from_millis(1100));
        now
    }

    fn find(&self, since: i64, hidden: Option<&str>, limits: Limits) -> Shadows {
        find(&self.at("upper"), &self.at("lower"), since, hidden, limits)
    }
}

fn listed(shadows: &Shadows) -> Vec<(&str, Kind)> {
    shadows.paths.iter().map(|shadow| (shadow.path.as_str(), shadow.kind)).collect()
}

#[test]
fn only_what_changed_below_and_is_hidden() {
    let layers = Layers::new();
    for file in ["etc/changed", "etc/same", "etc/removed", "tree/deep/file", "replaced/in/it", "store/x"] {
        layers.file(&format!("lower/{file}"));
    }
    for file in ["etc/changed", "etc/same", "etc/only-here", "new/only-here"] {
        layers.file(&format!("upper/{file}"));
    }
    for whiteout in ["upper/etc/removed", "upper/store"] {
        mknodat(CWD, layers.at(whiteout), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    }
    layers.file("upper/replaced");
    layers.file("upper/tree");
    let since = layers.since();
    assert_eq!(layers.find(since, None, ALL), Shadows { complete: true, ..Shadows::default() });
    for file in ["etc/changed", "etc/removed", "etc/not-in-upper", "tree/deep/file", "replaced/in/it", "store/x"] {
        layers.file(&format!("lower/{file}"));
    }
    let found = layers.find(since, Some("/store"), ALL);
    let mut paths = listed(&found);
    paths.sort_by_key(|(path, _)| *path);
    assert_eq!(
        paths,
        [
            ("/etc/changed", Kind::File),
            ("/etc/removed", Kind::Removed),
            ("/replaced", Kind::File),
            ("/tree", Kind::File)
        ]
    );
    assert!(found.count == 4 && found.complete);
    assert_eq!(layers.find(since, None, ALL).count, 5, "the upper's own place");
}

#[test]
fn it_ends_at_its_limits_and_says_so() {
    let layers = Layers::new();
    for number in 0..200 {
        layers.file(&format!("lower/{number}"));
        layers.file(&format!("upper/{number}"));
    }
    let few = layers.find(0, None, Limits { listed: 3, ..ALL });
    assert_eq!((few.paths.len(), few.count, few.complete), (3, 200, true));
    let short = layers.find(0, None, Limits { entries: 50, ..ALL });
    assert_eq!((short.count, short.complete), (50, false));
    let late = layers.find(0, None, Limits { until: Some(Instant::now()), ..ALL });
    assert!(late.count < 100 && !late.complete, "{}", late.count);
}

#[test]
fn links_are_not_followed() {
    let layers = Layers::new();
    layers.file("outside/file");
    std::os::unix::fs::symlink(layers.at("outside"), layers.at("lower/link")).unwrap();
    layers.file("upper/link/file");
    let found = layers.find(0, None, ALL);
    assert_eq!(listed(&found), [("/link", Kind::Directory)]);
    assert_eq!(layers.find(i64::MAX, None, ALL).count, 0);
}

/// Users can have such directories, and a boot that looks for what an upper hides has little memory.
#[test]
fn of_a_directory_with_many_no_more_is_read_than_is_looked_at() {
    let layers = Layers(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap());
    fs::create_dir_all(layers.at("lower")).unwrap();
    fs::create_dir_all(layers.at("upper")).unwrap();
    for number in 0..100_000 {
        fs::write(layers.at(&format!("upper/{number}")), "").unwrap();
    }
    let before = on_cpu();
    let found = layers.find(0, None, Limits { entries: 10, until: None, listed: 10 });
    let took = on_cpu() - before;
    assert!(!found.complete && took < Duration::from_millis(30), "{took:?}");
}

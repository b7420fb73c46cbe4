// SPDX-License-Identifier: GPL-2.0-or-later
//! Resets, kept uppers and what a cut leaves, on a real file system.
use super::*;
use crate::step::store::aside_work;
use crate::sys::newfile::write_durable;
use std::fs::File;

struct Place {
    dir: tempfile::TempDir,
    store: Store,
}

/// An upper with the file `one`, its work directory and fingerprint.
fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::named(dir.path().to_str().unwrap(), "overlay");
    fs::create_dir_all(&store.trash).unwrap();
    let place = Place { dir, store };
    place.upper("one");
    place
}

impl Place {
    fn upper(&self, file: &str) {
        fs::create_dir_all(&self.store.upper).unwrap();
        fs::create_dir_all(format!("{}/work", self.store.work)).unwrap();
        fs::write(format!("{}/{file}", self.store.upper), "x").unwrap();
        fs::write(&self.store.fingerprint, file).unwrap();
    }

    fn ask(&self, marker: &Marker) {
        write_durable(&self.store.marker, &marker.to_string()).unwrap();
    }

    fn once(&self) -> Became {
        let became = once(&self.store, false, false).unwrap();
        assert!(fs::symlink_metadata(&self.store.marker).is_err(), "the marker is left");
        became
    }

    fn has(&self, path: &str) -> bool {
        fs::exists(self.dir.path().join(path)).unwrap()
    }

    /// The upper `name` holds this file, and its fingerprint is the one it was begun with.
    fn holds(&self, name: &str, file: &str) {
        assert!(self.has(&format!("{name}/{file}")), "{name} has no {file}");
        let fingerprint = self.dir.path().join(format!(".overlayroot/{name}.json"));
        assert_eq!(fs::read_to_string(fingerprint).unwrap(), file);
    }

    fn trash(&self) -> usize {
        fs::read_dir(&self.store.trash).unwrap().count()
    }
}

#[test]
fn a_reset_moves_upper_and_work_and_nothing_else() {
    let place = place();
    fs::write(place.dir.path().join("mine"), "keep").unwrap();
    std::os::unix::fs::symlink(place.dir.path(), format!("{}/link", place.store.upper)).unwrap();
    assert_eq!(every_boot(&place.store).unwrap(), Became { reset: true, ..Became::default() });
    assert!(!place.has("overlay") && !place.has("ovlwork") && !place.has(".overlayroot/overlay.json"));
    assert!(place.has("mine") && place.has(".overlayroot/trash/upper.0/one"));
    assert_eq!(place.trash(), 2);
    place.upper("two");
    every_boot(&place.store).unwrap();
    assert_eq!(place.trash(), 4);
    every_boot(&place.store).unwrap();
}

#[test]
fn without_a_marker_nothing_is_touched() {
    let place = place();
    assert_eq!(place.once(), Became::default());
    place.holds("overlay", "one");
}

#[test]
fn once_is_once() {
    let place = place();
    place.ask(&Marker::Reset);
    assert!(place.once().reset);
    assert!(!place.has("overlay") && place.has(".overlayroot/trash/upper.0/one"));
    place.upper("two");
    assert_eq!(place.once(), Became::default());
    place.holds("overlay", "two");
}

#[test]
fn kept_uppers_get_the_next_free_name() {
    let place = place();
    for (file, name) in [("one", "overlay.1"), ("two", "overlay.2")] {
        place.upper(file);
        place.ask(&Marker::Keep);
        let became = place.once();
        assert!(became.reset && became.note.unwrap().ends_with(name));
        place.holds(name, file);
        assert!(!place.has("overlay") && !place.has("ovlwork"));
    }
    discard(&place.store, 1).unwrap();
    assert!(!place.has("overlay.1") && !place.has(".overlayroot/overlay.1.json"));
    place.upper("three");
    place.ask(&Marker::Keep);
    place.once();
    place.holds("overlay.1", "three");
    assert!(discard(&place.store, 7).is_err());
}

#[test]
fn an_upper_is_restored_and_the_one_before_kept() {
    let place = place();
    place.ask(&Marker::Keep);
    place.once();
    place.upper("two");
    place.ask(&Marker::Restore("overlay.1".into()));
    assert!(!place.once().reset);
    place.holds("overlay", "one");
    place.holds("overlay.2", "two");
    assert!(!place.has("overlay.1"));
    for wrong in ["overlay.9", "overlay", "other.1", "overlay.2-work"] {
        place.ask(&Marker::Restore(wrong.into()));
        place.once();
        place.holds("overlay", "one");
        place.holds("overlay.2", "two");
    }
}

/// Each rename of a restore as the last that happened before the power went.
#[test]
fn a_restore_that_was_cut_short_is_completed() {
    for cut in 0..=4 {
        let place = place();
        place.ask(&Marker::Keep);
        place.once();
        place.upper("two");
        place.ask(&Marker::Restore("overlay.1".into()));
        let meta = |name: &str| format!(".overlayroot/{name}.json");
        let moves = [
            (meta("overlay"), meta("overlay.2")),
            ("overlay".to_owned(), "overlay.2".to_owned()),
            (meta("overlay.1"), meta("overlay")),
            ("overlay.1".to_owned(), "overlay".to_owned()),
        ];
        for (from, to) in moves.iter().take(cut) {
            fs::rename(place.dir.path().join(from), place.dir.path().join(to)).unwrap();
        }
        place.once();
        place.holds("overlay", "one");
        place.holds("overlay.2", "two");
        assert!(!place.has("overlay.1") && !place.has(".overlayroot/overlay.1.json"), "after {cut} moves");
    }
}

#[test]
fn a_keep_that_was_cut_short_is_completed() {
    for cut in 0..=2 {
        let place = place();
        place.ask(&Marker::Keep);
        let (directory, fingerprint) = place.store.kept(1);
        for (from, to) in [(&place.store.fingerprint, fingerprint), (&place.store.upper, directory)].iter().take(cut) {
            fs::rename(from, to).unwrap();
        }
        assert!(place.once().reset);
        place.holds("overlay.1", "one");
        assert!(!place.has("overlay") && !place.has("overlay.2"));
    }
}

#[test]
fn a_reset_that_was_cut_short_is_completed() {
    let place = place();
    place.ask(&Marker::Reset);
    fs::rename(&place.store.upper, format!("{}/upper.0", place.store.trash)).unwrap();
    assert!(place.once().reset);
    assert!(!place.has("ovlwork") && !place.has(".overlayroot/overlay.json"));
}

#[test]
fn what_is_not_to_be_done_is_said_and_left() {
    let place = place();
    place.ask(&Marker::Reset);
    let waits = once(&place.store, true, false).unwrap();
    assert!(!waits.reset && waits.note.unwrap().contains("readonly"));
    assert!(place.has(".overlayroot/reset.json"));
    fs::write(&place.store.marker, "{\"keep\": maybe}").unwrap();
    assert!(once(&place.store, false, false).unwrap().note.unwrap().contains("not valid"));
    place.holds("overlay", "one");
    fs::create_dir(place.store.kept(1).0).unwrap();
    place.ask(&Marker::Restore("overlay.1".into()));
    assert!(once(&place.store, false, true).unwrap().note.unwrap().contains("not restored"));
    place.holds("overlay", "one");
    assert!(place.has("overlay.1"));
}

/// Nested, wide, and full of what frees nothing: a boot that is short of room must end.
#[test]
fn a_work_directory_that_takes_long_goes_to_the_trash() {
    let place = place();
    fs::write(format!("{}/work/file", place.store.work), "x").unwrap();
    aside_work(&place.store).unwrap();
    assert!(!place.has("ovlwork") && place.has(".overlayroot/trash/work.0/work/file"));
}

#[test]
fn a_huge_marker_is_not_read_whole() {
    let place = place();
    let file = File::create(&place.store.marker).unwrap();
    file.set_len(1 << 42).unwrap();
    assert!(!makes_room(&place.store));
    assert!(once(&place.store, false, false).is_err());
    for make in [&(|path: &str| std::os::unix::fs::symlink("/dev/zero", path).unwrap()) as &dyn Fn(&str), &|path| {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap()
    }] {
        fs::remove_file(&place.store.marker).unwrap();
        make(&place.store.marker);
        assert!(!makes_room(&place.store));
        assert!(once(&place.store, false, false).is_err());
    }
}

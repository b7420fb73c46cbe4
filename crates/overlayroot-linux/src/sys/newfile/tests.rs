// SPDX-License-Identifier: GPL-2.0-or-later
//! What others can have put under a name that a file is to get.
use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(place.at("outside"), "untouched").unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    /// Everything but a directory that a name can be.
    fn hostile(&self, name: &str) -> Vec<Box<dyn Fn() + '_>> {
        let at = self.at(name);
        let (link, dangling, pipe, file) = (at.clone(), at.clone(), at.clone(), at.clone());
        let socket = at;
        vec![
            Box::new(move || symlink("outside", &link).unwrap()),
            Box::new(move || symlink("made", &dangling).unwrap()),
            Box::new(move || nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap()),
            Box::new(move || fs::write(&file, "old and much longer than what comes").unwrap()),
            Box::new(move || drop(std::os::unix::net::UnixListener::bind(&socket).unwrap())),
        ]
    }
}

#[test]
fn nothing_is_written_through_what_has_the_name() {
    for name in ["file.new", "file"] {
        let place = Place::new();
        for make in place.hostile(name) {
            make();
            write(&place.path("file"), b"text", ALL_READ, Lasting::Disk).unwrap();
            assert_eq!(fs::read_to_string(place.at("outside")).unwrap(), "untouched");
            assert!(!place.at("made").exists());
            let made = fs::symlink_metadata(place.at("file")).unwrap();
            assert!(made.is_file() && made.permissions().mode() & 0o7777 == 0o644, "{made:?}");
            assert_eq!(fs::read_to_string(place.at("file")).unwrap(), "text");
            fs::remove_file(place.at("file")).unwrap();
            assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 1, "something is left of {name}");
        }
        for make in place.hostile("log") {
            make();
            fresh(&place.path("log")).unwrap().write_all(b"said").unwrap();
            assert_eq!(fs::read_to_string(place.at("outside")).unwrap(), "untouched");
            assert_eq!(fs::metadata(place.at("log")).unwrap().permissions().mode() & 0o7777, 0o600);
            fs::remove_file(place.at("log")).unwrap();
        }
        for make in place.hostile("claimed") {
            make();
            assert!(claim(&place.path("claimed")).is_err());
            fs::remove_file(place.at("claimed")).unwrap();
        }
    }
}

#[test]
fn a_directory_in_the_way_is_an_error_and_nothing_is_left() {
    let place = Place::new();
    fs::create_dir_all(place.at("file/inside")).unwrap();
    assert!(write(&place.path("file"), b"x", ALL_READ, Lasting::Disk).is_err());
    assert!(place.at("file/inside").exists() && !place.at("file.new").exists());
    fs::create_dir_all(place.at("other.new/inside")).unwrap();
    assert!(write(&place.path("other"), b"x", ALL_READ, Lasting::Run).is_err());
    assert!(place.at("other.new/inside").exists() && fresh(&place.path("other.new")).is_err());
}

#[test]
fn a_directory_that_others_can_write_has_no_link_on_the_way() {
    let place = Place::new();
    fs::create_dir(place.at("real")).unwrap();
    fs::create_dir(place.at("open")).unwrap();
    symlink("real", place.at("own")).unwrap();
    symlink("../real", place.at("open/link")).unwrap();
    fs::set_permissions(place.at("open"), fs::Permissions::from_mode(0o777)).unwrap();
    write(&place.path("own/file"), b"x", ALL_READ, Lasting::Run).unwrap();
    assert!(place.at("real/file").exists(), "a link that only we can have made is followed");
    assert!(write(&place.path("open/link/other"), b"x", ALL_READ, Lasting::Run).is_err());
    assert!(!place.at("real/other").exists());
}

#[test]
fn a_lock_is_for_us_alone_and_seen_by_all() {
    let place = Place::new();
    let path = place.path("lock");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let file = lock_file(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let listed = || is_listed(&path, &fs::read_to_string("/proc/locks").unwrap());
    assert!(!is_held(&path) && !listed());
    flock(&file, FlockOperation::LockExclusive).unwrap();
    assert!(is_held(&path) && listed());
    symlink("outside", place.at("link")).unwrap();
    assert!(lock_file(&place.path("link")).is_err());
    nix::unistd::mkfifo(&place.at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(lock_file(&place.path("pipe")).is_err() && !is_held(&place.path("none")));
}

#[test]
fn a_file_without_a_name() {
    let place = Place::new();
    nameless(place.dir.path().to_str().unwrap()).unwrap().write_all(b"x").unwrap();
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 1);
}

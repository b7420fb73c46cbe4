// SPDX-License-Identifier: GPL-2.0-or-later
use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use tempfile::TempDir;

const PATH: &str = "/etc/ssh/ssh_host_*";

struct Stage {
    dir: TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { dir: tempfile::tempdir().unwrap() };
        for made in ["root/etc/ssh", "upper", "lower/etc/ssh", "store"] {
            fs::create_dir_all(stage.dir.path().join(made)).unwrap();
        }
        stage
    }

    fn at(&self, path: &str) -> String {
        self.dir.path().join(path).to_str().unwrap().to_owned()
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    fn save(&self) -> Saved {
        save(&self.at("root"), &self.at("store"), PATH).unwrap()
    }

    fn restore(&self) -> usize {
        restore(&self.at("store"), PATH, &[self.at("upper"), self.at("lower")]).unwrap()
    }
}

#[test]
fn what_changed_is_saved_and_comes_back() {
    let stage = Stage::new();
    stage.write("root/etc/ssh/ssh_host_key", "secret");
    stage.write("root/etc/ssh/sshd_config", "no");
    fs::set_permissions(stage.at("root/etc/ssh"), fs::Permissions::from_mode(0o751)).unwrap();
    fs::set_permissions(stage.at("root/etc/ssh/ssh_host_key"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(stage.save().saved, ["/etc/ssh/ssh_host_key"]);
    assert_eq!(stage.save(), Saved::default(), "nothing has changed");
    assert_eq!(fs::metadata(stage.at("store/etc/ssh")).unwrap().permissions().mode() & 0o777, 0o751);
    assert_eq!(stage.restore(), 1);
    assert_eq!(stage.read("upper/etc/ssh/ssh_host_key"), "secret");
    assert_eq!(fs::metadata(stage.at("upper/etc/ssh/ssh_host_key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!Path::new(&stage.at("upper/etc/ssh/sshd_config")).exists());
    // Same length, other content; then other mode.
    stage.write("root/etc/ssh/ssh_host_key", "SECRET");
    assert_eq!(stage.save().saved.len(), 1);
    assert_eq!(stage.read("store/etc/ssh/ssh_host_key"), "SECRET");
    fs::set_permissions(stage.at("root/etc/ssh/ssh_host_key"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(stage.save().saved.len(), 1);
    let left: Vec<_> = fs::read_dir(stage.at("store/etc/ssh")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn what_the_upper_has_itself_stays() {
    let stage = Stage::new();
    fs::create_dir_all(stage.at("store/etc/ssh")).unwrap();
    fs::create_dir_all(stage.at("upper/etc/ssh")).unwrap();
    stage.write("store/etc/ssh/ssh_host_a", "old");
    stage.write("store/etc/ssh/ssh_host_b", "kept");
    stage.write("upper/etc/ssh/ssh_host_a", "newer");
    stage.write("lower/etc/ssh/ssh_host_b", "image's");
    assert_eq!(stage.restore(), 1);
    assert_eq!(
        (stage.read("upper/etc/ssh/ssh_host_a"), stage.read("upper/etc/ssh/ssh_host_b")),
        ("newer".into(), "kept".into())
    );
}

#[test]
fn what_is_gone_is_forgotten_but_not_with_its_directory() {
    let stage = Stage::new();
    stage.write("root/etc/ssh/ssh_host_a", "a");
    symlink("ssh_host_a", stage.at("root/etc/ssh/ssh_host_l")).unwrap();
    assert_eq!(stage.save().saved.len(), 2);
    fs::remove_file(stage.at("root/etc/ssh/ssh_host_a")).unwrap();
    assert_eq!(stage.save().removed, ["/etc/ssh/ssh_host_a"]);
    assert_eq!(fs::read_link(stage.at("store/etc/ssh/ssh_host_l")).unwrap().to_str(), Some("ssh_host_a"));
    fs::remove_dir_all(stage.at("root/etc")).unwrap();
    assert_eq!(stage.save(), Saved::default());
    assert!(fs::symlink_metadata(stage.at("store/etc/ssh/ssh_host_l")).is_ok());
}

#[test]
fn an_identity_that_is_none_is_not_kept() {
    let stage = Stage::new();
    let id = "0123456789abcdef0123456789abcdef\n";
    stage.write("root/etc/machine-id", "uninitialized\n");
    let save = || save(&stage.at("root"), &stage.at("store"), MACHINE_ID).unwrap();
    assert_eq!(save(), Saved::default());
    stage.write("root/etc/machine-id", id);
    assert_eq!(save().saved, [MACHINE_ID]);
    stage.write("root/etc/machine-id", "");
    assert_eq!(save(), Saved::default());
    assert_eq!(stage.read("store/etc/machine-id"), id);
    assert!(super::save(&stage.at("root"), &stage.at("nowhere"), MACHINE_ID).is_err());
    assert!(!Path::new(&stage.at("nowhere")).exists());
    fs::create_dir(stage.at("root/etc/dir")).unwrap();
    assert!(super::save(&stage.at("root"), &stage.at("store"), "/etc/dir").is_err());
}

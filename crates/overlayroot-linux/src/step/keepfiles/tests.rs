// SPDX-License-Identifier: GPL-2.0-or-later
use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tempfile::TempDir;

const PATH: &str = "/etc/ssh/ssh_host_*";

struct Stage {
    dir: TempDir,
}

impl Stage {
    fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    /// In RAM, for what saves thousands of times: each of them waits for the disk.
    fn in_ram() -> Self {
        Self::within(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn within(dir: TempDir) -> Self {
        let stage = Self { dir };
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

/// What a link leads to that must neither be read nor written.
fn secret(stage: &Stage) {
    fs::create_dir(stage.at("secret")).unwrap();
    stage.write("secret/ssh_host_key", "SECRET");
    fs::set_permissions(stage.at("secret/ssh_host_key"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn untouched(stage: &Stage) {
    assert_eq!(stage.read("secret/ssh_host_key"), "SECRET");
    assert_eq!(fs::read_dir(stage.at("secret")).unwrap().count(), 1);
}

#[test]
fn a_linked_parent_in_the_store_is_refused() {
    let stage = Stage::new();
    secret(&stage);
    stage.write("root/etc/ssh/ssh_host_other", "mine");
    fs::create_dir(stage.at("store/etc")).unwrap();
    symlink(stage.at("secret"), stage.at("store/etc/ssh")).unwrap();
    let layers = [stage.at("upper"), stage.at("lower")];
    assert!(restore(&stage.at("store"), PATH, &layers).is_err());
    assert!(!Path::new(&stage.at("upper/etc/ssh/ssh_host_key")).exists(), "a file of the initramfs was copied");
    // Neither is anything put there, nor removed because the root does not have it.
    assert!(save(&stage.at("root"), &stage.at("store"), PATH).is_err());
    untouched(&stage);
    // With nothing to put there it is the removal that would go through the link.
    fs::remove_file(stage.at("root/etc/ssh/ssh_host_other")).unwrap();
    assert!(save(&stage.at("root"), &stage.at("store"), PATH).is_err());
    untouched(&stage);
    stage.write("root/etc/ssh/ssh_host_other", "mine");
    fs::remove_file(stage.at("store/etc/ssh")).unwrap();
    fs::remove_dir(stage.at("store/etc")).unwrap();
    symlink(stage.at("root/etc"), stage.at("store/etc")).unwrap();
    assert!(save(&stage.at("root"), &stage.at("store"), PATH).is_err());
    assert_eq!(stage.read("root/etc/ssh/ssh_host_other"), "mine");
}

#[test]
fn a_linked_parent_in_the_upper_is_refused() {
    let stage = Stage::new();
    secret(&stage);
    fs::create_dir_all(stage.at("store/etc/ssh")).unwrap();
    stage.write("store/etc/ssh/ssh_host_new", "x");
    fs::create_dir(stage.at("upper/etc")).unwrap();
    symlink(stage.at("secret"), stage.at("upper/etc/ssh")).unwrap();
    let restore = || restore(&stage.at("store"), PATH, &[stage.at("upper"), stage.at("lower")]);
    assert!(restore().is_err());
    untouched(&stage);
    // A name that is there behind the link is not one that the upper has itself.
    fs::rename(stage.at("store/etc/ssh/ssh_host_new"), stage.at("store/etc/ssh/ssh_host_key")).unwrap();
    assert!(restore().is_err());
    untouched(&stage);
}

#[test]
fn a_link_that_others_can_have_made_is_not_followed_in_the_root() {
    let stage = Stage::new();
    secret(&stage);
    fs::remove_dir(stage.at("root/etc/ssh")).unwrap();
    symlink("../../secret", stage.at("root/etc/ssh")).unwrap();
    fs::rename(stage.at("secret"), stage.at("root/secret")).unwrap();
    assert_eq!(stage.save().saved, ["/etc/ssh/ssh_host_key"], "nobody but us can have made it");
    fs::set_permissions(stage.at("root/etc"), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(save(&stage.at("root"), &stage.at("store"), PATH).is_err());
}

#[test]
fn pipes_and_sockets_neither_hang_it_nor_are_kept() {
    let stage = Stage::new();
    let pipe = |path: &str| {
        nix::unistd::mkfifo(Path::new(&stage.at(path)), nix::sys::stat::Mode::S_IRWXU).unwrap();
    };
    stage.write("root/etc/ssh/ssh_host_a", "a");
    pipe("root/etc/ssh/ssh_host_pipe");
    assert_eq!(stage.save().saved, ["/etc/ssh/ssh_host_a"]);
    pipe("store/etc/ssh/ssh_host_b");
    pipe("store/etc/ssh/.ssh_host_c.overlayroot-rs.new");
    stage.write("root/etc/ssh/ssh_host_b", "b");
    stage.write("root/etc/ssh/ssh_host_c", "c");
    assert_eq!(stage.save().saved.len(), 2);
    assert_eq!(
        (stage.read("store/etc/ssh/ssh_host_b"), stage.read("store/etc/ssh/ssh_host_c")),
        ("b".into(), "c".into())
    );
    pipe("store/etc/ssh/ssh_host_d");
    assert_eq!(stage.restore(), 3);
    // What was listed as a file and is a pipe when it is opened.
    let directory = directory(&stage.at("root"), "/etc/ssh", Links::Own).unwrap().unwrap();
    assert!(Kept::open(&directory, "ssh_host_pipe").is_err());
}

/// A user swaps a directory of his own for a link to what only root can read, while root saves.
#[test]
fn a_swap_while_it_saves_gives_nothing_away() {
    let stage = Stage::in_ram();
    stage.write("root/etc/ssh/ssh_host_key", "own!!!");
    symlink("../../secret", stage.at("root/etc/link")).unwrap();
    swapped(&stage, "ssh", "link");
}

/// The same with the file, and a link in place of it.
#[test]
fn a_file_that_is_swapped_for_a_link_while_it_saves_gives_nothing_away() {
    let stage = Stage::in_ram();
    stage.write("root/etc/ssh/ssh_host_key", "own!!!");
    symlink("../../../secret/ssh_host_key", stage.at("root/etc/link")).unwrap();
    swapped(&stage, "ssh/ssh_host_key", "link");
}

/// Saves again and again while two names below `root/etc` are exchanged, until that happened within many of the saves:
/// on a busy machine the two may seldom run at the same time.
fn swapped(stage: &Stage, one: &str, other: &str) {
    secret(stage);
    let etc = stage.at("root/etc");
    fs::set_permissions(&etc, fs::Permissions::from_mode(0o777)).unwrap();
    let (ended, exchanges) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let swap = scope.spawn(|| {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            let (one, other) = (format!("{etc}/{one}"), format!("{etc}/{other}"));
            while !ended.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE);
                exchanges.fetch_add(1, Ordering::Relaxed);
            }
        });
        let kept = stage.at("store/etc/ssh/ssh_host_key");
        let (mut leaked, mut met, began) = (None, 0, Instant::now());
        for number in 0..20_000 {
            let before = exchanges.load(Ordering::Relaxed);
            let _ = save(&stage.at("root"), &stage.at("store"), PATH);
            met += u32::from(exchanges.load(Ordering::Relaxed) != before);
            // A link is kept as one.
            let file = fs::symlink_metadata(&kept).is_ok_and(|kept| kept.is_file());
            if file && fs::read(&kept).unwrap() == b"SECRET" {
                leaked = Some(number);
                break;
            }
            let _ = fs::remove_file(&kept);
            if met == 1000 || (number > 2000 && began.elapsed() > Duration::from_secs(20)) {
                break;
            }
        }
        ended.store(true, Ordering::Relaxed);
        swap.join().unwrap();
        assert_eq!(leaked, None, "it was read through the link");
    });
    untouched(stage);
}

#[test]
fn a_file_that_is_larger_than_the_room_is_refused_at_once() {
    let stage = Stage::new();
    let file = fs::File::create(stage.at("root/etc/ssh/ssh_host_huge")).unwrap();
    file.set_len(1 << 42).unwrap();
    let began = Instant::now();
    assert!(save(&stage.at("root"), &stage.at("store"), PATH).is_err());
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(names(&directory(&stage.at("store"), "/etc/ssh", Links::No).unwrap().unwrap(), "*").unwrap().is_empty());
}

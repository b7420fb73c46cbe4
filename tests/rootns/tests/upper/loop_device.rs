// SPDX-License-Identifier: GPL-2.0-or-later
//! Loop devices themselves: the calls of Linux 4.18 beside LOOP_CONFIGURE, and many at once.
use overlayroot_linux::sys::loopdev::{Calls, attach, detach, follow, of_file};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;

const BOTH: [Calls; 2] = [Calls::Newest, Calls::Old];

/// Devices are given back also when a test fails.
struct Attached(String);

impl Attached {
    fn new(file: &Path, read_only: bool, discard: bool, calls: Calls) -> Self {
        Self(attach(file.to_str().unwrap(), read_only, discard, calls).unwrap())
    }

    fn sys(&self, what: &str) -> String {
        let name = self.0.trim_start_matches("/dev/");
        fs::read_to_string(format!("/sys/block/{name}/{what}")).unwrap().trim().to_owned()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = detach(&self.0);
    }
}

fn image(directory: &tempfile::TempDir, name: &str, bytes: u64) -> PathBuf {
    let path = directory.path().join(name);
    File::create(&path).unwrap().set_len(bytes).unwrap();
    path
}

fn of(path: &Path) -> Vec<String> {
    of_file(path.to_str().unwrap()).unwrap()
}

#[test]
fn the_old_calls_do_what_the_newest_does() {
    let directory = tempfile::tempdir().unwrap();
    for calls in BOTH {
        let path = image(&directory, "image", 1 << 20);
        let device = Attached::new(&path, false, false, calls);
        assert_eq!(of(&path).join(" "), device.0);
        assert_eq!(device.sys("loop/dio"), "1", "{calls:?}");
        assert_eq!(device.sys("queue/discard_max_bytes"), "0", "{calls:?}");
        assert_eq!((device.sys("ro"), device.sys("loop/autoclear")), ("0".into(), "0".into()));
        assert_eq!(device.sys("loop/backing_file"), path.to_str().unwrap());
        let mut node = File::options().write(true).open(&device.0).unwrap();
        node.write_all(&[7; 4096]).unwrap();
        node.sync_all().unwrap();
        let mut read = [0; 4096];
        File::open(&path).unwrap().read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, [7; 4096]);
        // A file that grows takes its device with it when that is told.
        File::options().write(true).open(&path).unwrap().set_len(2 << 20).unwrap();
        assert_eq!(device.sys("size"), "2048");
        follow(&device.0).unwrap();
        assert_eq!(device.sys("size"), "4096");
        drop((node, device));
        assert!(of(&path).is_empty(), "{calls:?}: still attached");
    }
}

#[test]
fn read_only_and_discards() {
    let directory = tempfile::tempdir().unwrap();
    for calls in BOTH {
        let path = image(&directory, "image", 1 << 20);
        let device = Attached::new(&path, true, true, calls);
        assert_eq!(device.sys("ro"), "1", "{calls:?}");
        drop(device);
        let device = Attached::new(&path, false, true, calls);
        assert_ne!(device.sys("queue/discard_max_bytes"), "0", "{calls:?}");
        drop(device);
        assert!(of(&path).is_empty());
    }
}

/// util-linux detaches without making the device anew, and so does a process that is killed; in a race a
/// device may even come over from another attach of ours.
#[test]
fn a_device_that_takes_no_discards_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = image(&directory, "image", 1 << 20);
    for calls in BOTH {
        let spoiled = Attached::new(&path, false, false, calls);
        assert!(Command::new("losetup").args(["-d", &spoiled.0]).status().unwrap().success());
        // Another test may have it now.
        std::mem::forget(spoiled);
        // The lowest free one is given first, unless another test has it by now.
        let devices: Vec<Attached> = (0..3).map(|_| Attached::new(&path, false, true, calls)).collect();
        for device in &devices {
            assert_ne!(device.sys("queue/discard_max_bytes"), "0", "{calls:?}: {}", device.0);
        }
    }
}

/// udev looks into a new device when it likes; a root that the file lies on stays busy meanwhile.
#[test]
fn a_device_that_another_has_open_is_given_back_when_detach_returns() {
    let directory = tempfile::tempdir().unwrap();
    for calls in BOTH {
        let path = image(&directory, "image", 1 << 20);
        let device = Attached::new(&path, false, false, calls);
        let other = File::open(&device.0).unwrap();
        let closing = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(300));
            drop(other);
        });
        detach(&device.0).unwrap();
        assert!(of(&path).is_empty(), "{calls:?}: still attached");
        std::mem::forget(device);
        closing.join().unwrap();
    }
}

#[test]
fn what_can_not_be_attached_leaves_no_device() {
    for calls in BOTH {
        // Only a plain file is attached.
        let error = attach("/dev/null", false, false, calls).unwrap_err();
        assert!(format!("{error:#}").contains("/dev/null: it is not a plain file"), "{error:#}");
        assert!(of(Path::new("/dev/null")).is_empty());
        let error = attach("/no/such/file", false, false, calls).unwrap_err();
        assert!(format!("{error:#}").contains("/no/such/file"), "{error:#}");
    }
    assert!(detach("/dev/null").is_err());
}

#[test]
fn sixty_four_at_once_get_a_device_each() {
    const THREADS: usize = 8;
    const EACH: usize = 8;
    let directory = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = (0..THREADS * EACH).map(|n| image(&directory, &format!("image{n}"), 1 << 20)).collect();
    let start = Barrier::new(THREADS);
    let devices: Vec<Attached> = std::thread::scope(|scope| {
        let threads: Vec<_> = files
            .chunks(EACH)
            .enumerate()
            .map(|(number, files)| {
                let (start, calls) = (&start, BOTH[number % 2]);
                scope.spawn(move || {
                    start.wait();
                    files.iter().map(|file| Attached::new(file, false, false, calls)).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let nodes: BTreeSet<&str> = devices.iter().map(|device| device.0.as_str()).collect();
    assert_eq!(nodes.len(), THREADS * EACH);
    for (file, device) in files.iter().zip(&devices) {
        assert_eq!(of(file).join(" "), device.0);
    }
    drop(devices);
    assert!(files.iter().all(|file| of(file).is_empty()));
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! What `overlayctl diff` asks the kernel for each file that changed. Counted, for times are the machine's.
use overlayroot_rootns::{on_stage, run};
use std::fs;

const DIRS: usize = 4;
const EACH: usize = 400;
const FILES: usize = DIRS * EACH;

/// Each file longer than it was.
fn trees() {
    for (layer, size) in [("upper", 20), ("lower", 10)] {
        for number in 0..FILES {
            let dir = format!("/run/{layer}/srv/{}", number / EACH);
            if number % EACH == 0 {
                fs::create_dir_all(&dir).unwrap();
            }
            fs::write(format!("{dir}/{number:04}"), vec![b'x'; size]).unwrap();
        }
    }
}

/// What it calls, and how many changes it lists.
fn calls(args: &[&str]) -> (Vec<String>, usize) {
    let strace = ["-f", "-qq", "-e", "signal=none", "-o", "/tmp/calls", "/overlayctl", "diff"];
    let out = run("strace", &[&strace[..], &["--upperdir", "/run/upper", "--lowerdir", "/run/lower"], args].concat());
    let text = fs::read_to_string("/tmp/calls").unwrap();
    // each begins with the number of the thread
    let calls = text.lines().filter_map(|line| line.trim_start().split_once(' ')).map(|(_, call)| call.trim_start());
    let calls = calls.filter(|call| !call.starts_with("<... ")).map(str::to_owned).collect();
    (calls, out.lines().filter(|line| line.contains("/srv/")).count())
}

#[test]
fn a_changed_file_costs_two_inodes_and_two_lists() {
    let _alone = crate::alone();
    on_stage("diffcost", |_| {
        trees();
        let each = |calls: &[String], what: &str| {
            let number = calls.iter().filter(|call| call.starts_with(what)).count();
            println!("{what}: {number}, {:.2} a file", number as f64 / FILES as f64);
            number as f64 / FILES as f64
        };
        // Where both threads are at the same few names, both ask for these.
        const TWO: f64 = 2.2;
        let (json, listed) = calls(&["--json"]);
        assert_eq!(listed, FILES);
        let (inodes, lists) = (each(&json, "statx("), each(&json, "llistxattr("));
        assert!((2.0..TWO).contains(&inodes) && (2.0..TWO).contains(&lists), "{inodes} {lists}");
        assert!(each(&json, "") < 5.0);
        assert!(each(&json, "open") < 0.1, "no file is opened");
        assert!(!json.iter().any(|call| call.contains("/proc/self/fd/")), "names are reached where they are");
        let (list, listed) = calls(&[]);
        assert_eq!(listed, FILES);
        assert!(each(&list, "llistxattr(") < 0.1, "the size says it all");
        assert!(each(&list, "statx(") < TWO && each(&list, "") < 3.0);
    });
}

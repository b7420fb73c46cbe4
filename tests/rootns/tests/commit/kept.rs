// SPDX-License-Identifier: GPL-2.0-or-later
//! What stays, and what is refused.

use crate::stack::{Disks, Lying, Stack};
use overlayroot_linux::commit::{Calls, Choice, Ended, Request, SCRATCH, run as commit, scan};
use overlayroot_rootns::{on_stage, run};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

fn on_each(name: &str, test: fn(&Stack, Lying)) {
    for (lying, fstype) in [(Lying::Beside, "ext4"), (Lying::Apart, "ext4"), (Lying::Subvolume, "btrfs")] {
        on_stage(&format!("{name}-{lying:?}"), move |_stage| {
            let disks = Disks::make(lying, fstype);
            let stack = disks.stack("one");
            test(&stack, lying);
            stack.remove();
        });
    }
}

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

#[test]
fn an_immutable_file_stays_and_is_named() {
    on_each("immutable", |stack, _| {
        let merged = stack.mount();
        fs::write(merged.0.join("fixed"), "x").unwrap();
        fs::write(merged.0.join("other"), "y").unwrap();
        drop(merged);
        let fixed = stack.upper.join("fixed");
        run("chattr", &["+i", fixed.to_str().unwrap()]);
        let done = stack.commit(&Choice::default(), &mut Calls::default()).unwrap();
        run("chattr", &["-i", fixed.to_str().unwrap()]);
        assert_eq!((done.ended, done.left_count), (Ended::Whole, 1));
        assert_eq!(
            (done.left[0].path.to_str(), &*done.left[0].why),
            (Some("fixed"), "is immutable or append-only (chattr)")
        );
        assert!(fs::exists(stack.lower.join("other")).unwrap() && !fs::exists(stack.lower.join("fixed")).unwrap());
        assert!(!fs::exists(stack.upper.join("other")).unwrap() && fs::exists(fixed).unwrap());
    });
}

#[test]
fn a_name_that_stays_does_not_tie_the_lower_to_the_upper() {
    on_each("split", |stack, _| {
        let merged = stack.mount();
        fs::create_dir(merged.0.join("d")).unwrap();
        fs::write(merged.0.join("d/goes"), "x").unwrap();
        fs::hard_link(merged.0.join("d/goes"), merged.0.join("d/too")).unwrap();
        fs::hard_link(merged.0.join("d/goes"), merged.0.join("stays")).unwrap();
        drop(merged);
        let choice = Choice { keep: paths(&["stays"]), ..Choice::default() };
        let done = stack.commit(&choice, &mut Calls::default()).unwrap();
        assert_eq!((done.left_count, done.ended), (0, Ended::Whole));
        let [goes, too] = ["d/goes", "d/too"].map(|name| fs::metadata(stack.lower.join(name)).unwrap());
        let stays = fs::metadata(stack.upper.join("stays")).unwrap();
        assert_eq!((goes.ino(), goes.nlink(), stays.nlink()), (too.ino(), 2, 1));
        assert!((goes.dev(), goes.ino()) != (stays.dev(), stays.ino()));
        for layer in [&stack.lower, &stack.upper] {
            assert!(fs::symlink_metadata(layer.join(SCRATCH)).is_err(), "{}", layer.display());
        }
    });
}

#[test]
fn what_would_remove_something_that_stays_stays_itself() {
    on_each("hides", |stack, _| {
        for made in ["gone", "replaced"] {
            fs::create_dir(stack.lower.join(made)).unwrap();
            fs::write(stack.lower.join(made).join("key"), "x").unwrap();
        }
        let merged = stack.mount();
        fs::remove_dir_all(merged.0.join("gone")).unwrap();
        fs::remove_dir_all(merged.0.join("replaced")).unwrap();
        fs::create_dir(merged.0.join("replaced")).unwrap();
        fs::write(merged.0.join("replaced/new"), "y").unwrap();
        drop(merged);
        let choice = Choice { keep: paths(&["gone/key", "replaced/key"]), ..Choice::default() };
        let was = stack.merged();
        let done = stack.commit(&choice, &mut Calls::default()).unwrap();
        let mut why: Vec<String> = done.left.iter().map(|left| left.why.clone()).collect();
        why.sort();
        assert_eq!(why, ["hides /gone/key, which stays", "hides /replaced/key, which stays"]);
        assert!(fs::exists(stack.lower.join("gone/key")).unwrap());
        assert_eq!(crate::view::difference(&was, &stack.merged()), None);
    });
}

#[test]
fn one_path_of_a_new_directory_takes_its_parents_along() {
    on_each("parents", |stack, _| {
        let merged = stack.mount();
        fs::create_dir_all(merged.0.join("new/deep")).unwrap();
        run("chmod", &["1751", merged.0.join("new").to_str().unwrap()]);
        for name in ["asked", "other"] {
            fs::write(merged.0.join("new/deep").join(name), name).unwrap();
        }
        drop(merged);
        let was = stack.merged();
        let choice = Choice { paths: paths(&["new/deep/asked", "none/such"]), ..Choice::default() };
        let done = stack.commit(&choice, &mut Calls::default()).unwrap();
        assert_eq!((done.entries, done.left_count), (1, 0));
        assert_eq!(fs::read_to_string(stack.lower.join("new/deep/asked")).unwrap(), "asked");
        assert_eq!(fs::metadata(stack.lower.join("new")).unwrap().mode() & 0o7777, 0o1751);
        assert!(!fs::exists(stack.lower.join("new/deep/other")).unwrap());
        assert!(!fs::exists(stack.upper.join("new/deep/asked")).unwrap());
        assert_eq!(crate::view::difference(&was, &stack.merged()), None);
    });
}

#[test]
fn time_that_is_over_leaves_the_rest_for_another_run() {
    on_each("time", |stack, _| {
        let merged = stack.mount();
        (0..50).for_each(|number| fs::write(merged.0.join(number.to_string()), "x").unwrap());
        drop(merged);
        let was = stack.merged();
        let choice = Choice::default();
        let found = scan(&stack.upper, &choice).unwrap();
        assert_eq!(found.entries, 50);
        let request =
            Request { upper: &stack.upper, lower: &stack.lower, choice: &choice, until: Some(Instant::now()) };
        let done = commit(&request, &found, &mut Calls::default()).unwrap();
        assert_eq!((done.ended, done.entries), (Ended::Time, 0));
        assert_eq!(crate::view::difference(&was, &stack.merged()), None);
        let done = stack.commit(&choice, &mut Calls::default()).unwrap();
        assert_eq!((done.ended, done.entries), (Ended::Whole, 50));
    });
}

#[test]
fn marks_that_name_another_place_are_refused_and_nothing_is_moved() {
    on_each("marks", |stack, _| {
        fs::create_dir(stack.upper.join("d")).unwrap();
        fs::write(stack.upper.join("d/f"), "x").unwrap();
        let path = stack.upper.join("d/f");
        run("setfattr", &["-n", "trusted.overlay.metacopy", path.to_str().unwrap()]);
        let refused = stack.commit(&Choice::default(), &mut Calls::default()).unwrap_err();
        assert!(format!("{refused:#}").starts_with("/d/f: it has its content elsewhere"), "{refused:#}");
        // What is not asked for may have any.
        let choice = Choice { exclude: vec!["d/f".to_owned()], ..Choice::default() };
        assert!(stack.commit(&choice, &mut Calls::default()).unwrap().left.is_empty());
        assert!(fs::exists(&path).unwrap());
    });
}

#[test]
fn the_directory_that_the_upper_is_in_is_not_removed_from_under_it() {
    on_stage("own", |_stage| {
        let disks = Disks::make(Lying::Inside, "ext4");
        let stack = disks.stack("one");
        run("mknod", &[stack.upper.join("z").to_str().unwrap(), "c", "0", "0"]);
        let refused = stack.commit(&Choice::default(), &mut Calls::default()).unwrap_err();
        assert_eq!(refused.to_string(), "/z takes the place of a directory that has the upper in it (/z/upper)");
        stack.remove();
    });
}

#[test]
fn a_lower_that_is_full_ends_it_and_the_next_goes_on() {
    on_stage("full", |_stage| {
        let disks = Disks::make(Lying::Apart, "ext4");
        let stack = disks.stack("one");
        let merged = stack.mount();
        (0..8).for_each(|number| fs::write(merged.0.join(format!("f{number}")), vec![b'x'; 8 << 20]).unwrap());
        drop(merged);
        let was = stack.merged();
        let ballast = stack.lower.parent().unwrap().join("ballast");
        run("fallocate", &["-l", "270M", ballast.to_str().unwrap()]);
        let done = stack.commit(&Choice::default(), &mut Calls::default()).unwrap();
        assert!(matches!(&done.ended, Ended::Failed(why) if why.contains("No space left")), "{done:?}");
        assert_eq!(crate::view::difference(&was, &stack.merged()), None);
        fs::remove_file(ballast).unwrap();
        let done = stack.commit(&Choice::default(), &mut Calls::default()).unwrap();
        assert_eq!(done.ended, Ended::Whole, "{done:?}");
        assert_eq!(crate::view::difference(&was, &stack.plain()), None);
        stack.remove();
    });
}

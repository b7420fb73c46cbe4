// SPDX-License-Identifier: GPL-2.0-or-later
//! Partition uppers whose entry the table has lost, and what others left in free space.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
use overlayroot_rootns::card::{Card, MIB, reason};
use overlayroot_rootns::{on_stage, run};
use serde_json::Value;
use std::fs;

/// What the record's steps are called.
fn steps(record: &Value) -> Vec<&str> {
    record["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect()
}

fn an_entry_that_was_lost_is_taken_back(table: &'static str, fs_: &'static str, mib: u64) {
    on_stage(&format!("part-lost-{table}-{fs_}"), move |stage| {
        let card = Card::new(stage, table, mib);
        let cmdline = format!("rd.overlay=part:l{},fs={fs_}", stage.tag);
        let record = stage.assemble(&cmdline);
        assert_eq!(reason(&record), ("applied", ""), "{record:#}");
        fs::write("/sysroot/kept", "once").unwrap();
        let lines = card.table();

        stage.reboot();
        run("sfdisk", &["--quiet", "--no-reread", "--no-tell-kernel", "--delete", &card.disk.node, "3"]);
        run("delpart", &[&card.disk.node, "3"]);
        let record = stage.assemble(&cmdline);
        assert_eq!(reason(&record), ("applied", ""), "{record:#}");
        assert_eq!(steps(&record)[..3], ["reserve-partition", "take-back", "write-partition"]);
        assert_eq!(fs::read_to_string("/sysroot/kept").unwrap(), "once");
        assert!(record["notes"].to_string().contains("which the table did not name"), "{record:#}");
        let after = card.table();
        assert_eq!(after[..2], lines[..2]);
        assert_eq!((&after[2]["start"], &after[2]["size"]), (&lines[2]["start"], &lines[2]["size"]));
    });
}

#[test]
fn an_ext4_that_a_gpt_lost_is_taken_back() {
    an_entry_that_was_lost_is_taken_back("gpt", "ext4", 96);
}

#[test]
fn an_ext4_that_a_dos_table_lost_is_taken_back() {
    an_entry_that_was_lost_is_taken_back("dos", "ext4", 96);
}

#[test]
fn a_btrfs_that_a_gpt_lost_is_taken_back() {
    an_entry_that_was_lost_is_taken_back("gpt", "btrfs", 200);
}

#[test]
fn an_xfs_that_a_dos_table_lost_is_taken_back() {
    an_entry_that_was_lost_is_taken_back("dos", "xfs", 340);
}

#[test]
fn what_others_left_in_free_space_is_named_and_stays() {
    on_stage("part-left", |stage| {
        let card = Card::new(stage, "gpt", 96);
        fs::create_dir_all("/tmp/tree").unwrap();
        fs::write("/tmp/tree/theirs", "theirs").unwrap();
        let put = |args: &[&str]| {
            let file = "/tmp/left";
            fs::File::create(file).unwrap().set_len(8 << 20).unwrap();
            run(args[0], &[&args[1..], &[file]].concat());
            let disk = fs::OpenOptions::new().write(true).open(&card.disk.node).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&disk, &fs::read(file).unwrap(), 29 * MIB as u64).unwrap();
        };
        let make = |label: &str| put(&["mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-d", "/tmp/tree"]);
        make("theirs");
        let before = card.disk.bytes();
        let record = stage.assemble("rd.overlay=part:p");
        assert_eq!(reason(&record), ("degraded", "not-free"), "{record:#}");
        let text = record["reasons"][0]["text"].as_str().unwrap();
        assert!(text.contains("from 29M on holds ext4 'theirs'"), "{text}");
        assert!(before == card.disk.bytes(), "the disk changed");

        // The label that is asked for, and no upper: never mounted, by its superblock, and yet not empty.
        make("p");
        let before = card.disk.bytes();
        stage.reboot();
        let record = stage.assemble("rd.overlay=part:p");
        assert_eq!(reason(&record), ("degraded", "take-back"), "{record:#}");
        assert!(before == card.disk.bytes(), "the disk changed");
        assert!(!fs::exists(card.part(3)).unwrap(), "the kernel still has it");

        // A swap signature, a table: not of a file system at all.
        for args in [&["mkswap", "-q"][..], &["sh", "-c", "echo label:gpt | sfdisk -q $0"]] {
            put(args);
            stage.reboot();
            let record = stage.assemble("rd.overlay=part:p");
            assert_eq!(reason(&record), ("degraded", "not-free"), "{args:?}: {record:#}");
        }
    });
}

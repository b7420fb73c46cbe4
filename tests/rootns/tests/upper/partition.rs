// SPDX-License-Identifier: GPL-2.0-or-later
//! Partition uppers on real disks: made behind the last partition, found again, grown, refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
use overlayroot_rootns::card::{Card, MIB, blkid, instead_of_sfdisk, reason};
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{mount_at, on_stage, run};
use serde_json::Value;
use std::fs;

fn made_and_found_again(table: &'static str) {
    on_stage(&format!("part-{table}"), move |stage| {
        let card = Card::new(stage, table, 96);
        let (others, lines) = (card.others(), card.table());
        let cmdline = format!("rd.overlay=part:p{},size=40M", stage.tag);
        let record = stage.assemble(&cmdline);
        assert_eq!(reason(&record), ("applied", ""), "{record:#}");
        assert_eq!(record["requested"]["upper"], "part");
        assert_eq!(record["effective"]["device"], card.part(3).as_str());
        assert_eq!(mount_at("/run/overlayfs-backing").unwrap().source, card.part(3));
        fs::write("/sysroot/kept", "once").unwrap();
        let after = card.table();
        assert_eq!(after[..2], lines[..]);
        assert_eq!((after[2]["start"].as_u64(), after[2]["size"].as_u64()), (Some(29 * 2048), Some(40 * 2048)));
        assert_eq!(blkid(&card.part(3), "LABEL"), format!("p{}", stage.tag));
        if table == "gpt" {
            assert_eq!(after[2]["name"], format!("p{}", stage.tag).as_str());
        }
        assert!(others == card.others(), "the other partitions changed");

        stage.reboot();
        let record = stage.assemble(&cmdline);
        assert_eq!(reason(&record), ("applied", ""), "{record:#}");
        assert!(!record["steps"].to_string().contains("-partition"), "{record:#}");
        assert_eq!(fs::read_to_string("/sysroot/kept").unwrap(), "once");

        stage.reboot();
        let record = stage.assemble(&format!("{cmdline} rd.overlay.reset"));
        assert_eq!((reason(&record), &record["effective"]["reset"]), (("applied", ""), &Value::Bool(true)));
        assert!(!fs::exists("/sysroot/kept").unwrap());
        assert_eq!(card.table(), after);
    });
}

#[test]
fn made_in_a_gpt_and_found_again() {
    made_and_found_again("gpt");
}

#[test]
fn made_in_a_dos_table_and_found_again() {
    made_and_found_again("dos");
}

#[test]
fn no_room_changes_nothing() {
    on_stage("part-room", |stage| {
        let card = Card::new(stage, "gpt", 96);
        let before = card.disk.bytes();
        let record = stage.assemble("rd.overlay=part:p,size=80M");
        assert_eq!(reason(&record), ("degraded", "no-room"), "{record:#}");
        let text = record["reasons"][0]["text"].as_str().unwrap();
        assert!(text.contains("80M") && text.contains("66M free"), "{text}");
        assert!(before == card.disk.bytes(), "the disk changed");
    });
}

#[test]
fn a_partition_of_that_name_is_never_formatted() {
    on_stage("part-foreign", |stage| {
        let card = Card::new(stage, "gpt", 96);
        let before = card.disk.bytes();
        let record = stage.assemble("rd.overlay=part:data");
        assert_eq!(reason(&record), ("degraded", "no-file-system"), "{record:#}");
        stage.reboot();
        let record = stage.assemble("rd.overlay=part:boot");
        assert_eq!(reason(&record), ("degraded", "device-in-use"), "{record:#}");
        assert!(before == card.disk.bytes(), "the disk changed");
    });
}

#[test]
fn two_of_that_name_and_full_tables_are_refused() {
    on_stage("part-two", |stage| {
        let card = Card::new(stage, "dos", 96);
        for (number, start) in [(3, 59392), (4, 92160)] {
            let type_ = if number == 4 { "type=83" } else { "type=da" };
            card.sfdisk(&["--append", "--no-tell-kernel"], &format!("start={start}, size=32768, {type_}\n"));
            card.tell(number, start, 32768);
        }
        let record = stage.assemble("rd.overlay=part:p");
        assert_eq!(reason(&record), ("degraded", "partition-table"), "{record:#}");
        for number in [3, 4] {
            run("mke2fs", &["-q", "-F", "-L", "p", &card.part(number)]);
        }
        stage.reboot();
        let record = stage.assemble("rd.overlay=part:p");
        assert_eq!(reason(&record), ("degraded", "device-ambiguous"), "{record:#}");
        // The table and the kernel differ: nobody knows what is free.
        run("delpart", &[&card.disk.node, "4"]);
        let before = card.disk.bytes();
        stage.reboot();
        let record = stage.assemble("rd.overlay=part:q,size=16M");
        assert_eq!(reason(&record), ("degraded", "partition-table"), "{record:#}");
        assert!(before == card.disk.bytes(), "the disk changed");
    });
}

#[test]
fn a_cut_before_the_table_is_written_leaves_free_space() {
    on_stage("part-cut", |stage| {
        let card = Card::new(stage, "gpt", 96);
        let head = card.head();
        // It is asked for the table once more when the file system is made, and before the entry is written.
        let made = format!("blkid -p -s LABEL {} 2>&1 | grep -q cut", card.part(3));
        instead_of_sfdisk(&format!("{made} && {{ [ -e /tmp/kill ] && kill -9 $PPID; exit 1; }}"));
        let record = stage.assemble("rd.overlay=part:cut");
        assert_eq!(reason(&record), ("degraded", "write-partition"), "{record:#}");
        assert_eq!(record["steps"][0]["result"], "undone");
        assert!(!fs::exists(card.part(3)).unwrap(), "the kernel still has it");

        stage.reboot();
        fs::write("/tmp/kill", "").unwrap();
        let killed = stage.tool("overlay-assemble", b"rd.overlay=part:cut", &["--by", "hook"]);
        assert_eq!(killed.status.code(), None, "it was not cut");
        assert_eq!(blkid(&card.part(3), "LABEL"), "cut");
        assert!(head == card.head(), "the table names what is not finished");

        // What a power cut takes away: the kernel's memory.
        run("delpart", &[&card.disk.node, "3"]);
        stage.reboot();
        unmount("/usr/sbin/sfdisk");
        let record = stage.assemble("rd.overlay=part:cut");
        assert_eq!(reason(&record), ("applied", ""), "{record:#}");
        assert_eq!(record["steps"][1]["step"], "take-back", "{record:#}");
        assert!(head[MIB..] == card.others(), "the other partitions changed");
    });
}

/// ext4 asks for CAP_SYS_RESOURCE, which containers lack: boot case `part/part-gpt` has it.
fn follows_a_larger_card(table: &'static str, fs_: &'static str, mib: u64) {
    on_stage(&format!("part-grow-{table}"), move |stage| {
        let card = Card::new(stage, table, mib);
        let cmdline = format!("rd.overlay=part:g{},fs={fs_},grow", stage.tag);
        let record = stage.assemble(&cmdline);
        assert_eq!(reason(&record), ("applied", ""), "{record:#}");
        fs::write("/sysroot/kept", "once").unwrap();
        let (others, lines) = (card.others(), card.table());

        stage.reboot();
        card.enlarge(mib + 200);
        let record = stage.assemble(&cmdline);
        assert_eq!(reason(&record), ("applied", ""), "{record:#}");
        assert_eq!(fs::read_to_string("/sysroot/kept").unwrap(), "once");
        let keep = if table == "gpt" { 1 } else { 0 };
        let after = card.table();
        assert_eq!(after[2]["size"].as_u64(), Some((mib + 200 - 29 - keep) * 2048));
        assert_eq!((&after[2]["uuid"], &after[2]["type"]), (&lines[2]["uuid"], &lines[2]["type"]));
        assert_eq!(after[..2], lines[..2]);
        let stat = nix::sys::statvfs::statvfs("/run/overlayfs-backing").unwrap();
        let bytes = stat.blocks() * stat.fragment_size();
        assert!(bytes > (mib + 80) << 20, "the file system has {bytes} bytes");
        assert!(others == card.others(), "the other partitions changed");
        run("sfdisk", &["--verify", &card.disk.node]);

        stage.reboot();
        let record = stage.assemble(&cmdline);
        assert_eq!(reason(&record), ("applied", ""), "{record:#}");
        assert!(!record["steps"].to_string().contains("grow-partition"), "{record:#}");
    });
}

#[test]
fn a_gpt_copied_to_a_larger_card_grows() {
    follows_a_larger_card("gpt", "btrfs", 200);
}

#[test]
fn a_dos_table_copied_to_a_larger_card_grows() {
    follows_a_larger_card("dos", "xfs", 340);
}

#[test]
fn read_only_makes_nothing_and_the_hosts_plan_says_what_the_boot_does() {
    on_stage("part-plan", |stage| {
        let card = Card::new(stage, "gpt", 96);
        let before = card.disk.bytes();
        let record = stage.assemble("rd.overlay=part:p rd.overlay.readonly");
        assert_eq!(reason(&record), ("degraded", "place-missing"), "{record:#}");
        stage.reboot();
        stage.mount_root("rw");
        let said = stage.overlayctl_inside(&["plan", "--cmdline", "rd.overlay=part:p,size=20M"]);
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains(&format!("write-partition    {} 'p' into the gpt table", card.part(3))), "{said}");
        assert!(before[29 * MIB..] == card.disk.bytes()[29 * MIB..], "the disk changed");
    });
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! Partition uppers and the power: a first boot and a growth that are cut after each of their writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
use nix::sys::statvfs::statvfs;
use overlayroot_rootns::card::{Card, MIB, blkid, reason};
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::tape::{Event, Tape};
use overlayroot_rootns::{Disk, Stage, mount_at, on_stage, run};
use serde_json::Value;
use std::fs;

/// What was done to a disk from a state on.
struct Play {
    before: Vec<u8>,
    events: Vec<Event>,
    /// After so many of them a write was acknowledged.
    acknowledged: usize,
}

/// Records one boot on a card of `mib` MiB, of which `ready` has made what is there before.
fn recorded(stage: &mut Stage, table: &str, mib: usize, first: Option<&str>, cmdline: &str) -> Play {
    let (tape, disk) = Tape::new(mib);
    // An image on a larger card: what a GPT has at its end must be brought to the disk's.
    let card = Card::on(stage, table, disk, mib as u64 - 20);
    if let Some(first) = first {
        let record = stage.assemble(first);
        assert_eq!(reason(&record), ("applied", ""), "{record:#}");
        fs::write("/sysroot/kept", "once").unwrap();
        stage.reboot();
    }
    let before = tape.rewind();
    let record = stage.assemble(cmdline);
    assert_eq!(reason(&record), ("applied", ""), "{record:#}");
    if first.is_none() {
        let kept = fs::File::create("/sysroot/kept").unwrap();
        std::io::Write::write_all(&mut &kept, b"once").unwrap();
        kept.sync_all().unwrap();
        fs::File::open("/sysroot").unwrap().sync_all().unwrap();
    }
    let events = tape.events();
    let acknowledged = if first.is_none() { events.len() } else { 0 };
    stage.reboot();
    unmount("/sysroot");
    let all = tape.events();
    drop(card);
    Play { before, events: all, acknowledged }
}

fn apply(disk: &mut [u8], event: &Event) {
    if let Event::Write(at, data) = event {
        let at = *at as usize;
        disk[at..at + data.len()].copy_from_slice(data);
    }
}

/// The partitions that Linux finds (kernel: block/partitions/efi.c and msdos.c, without the argument `gpt`; boot case
/// 84 shows that a kernel does).
fn linux(disk: &[u8]) -> Vec<(u32, u64, u64)> {
    let number =
        |at: usize, length: usize| disk[at..at + length].iter().rev().fold(0_u64, |n, b| (n << 8) | u64::from(*b));
    if disk[450] != 0xee {
        let slot = |n: usize| (n as u32 + 1, number(454 + n * 16, 4), number(458 + n * 16, 4));
        return (0..4).map(slot).filter(|part| part.2 > 0).collect();
    }
    let crc = |bytes: &[u8]| {
        let bit = |sum: u32, bit: u32| (sum >> 1) ^ (0xedb8_8320 * ((sum ^ bit) & 1));
        let sum = bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum, |sum, n| bit(sum, u32::from((byte >> n) & 1))));
        u64::from(!sum)
    };
    let mut header = disk[512..604].to_vec();
    header[16..20].fill(0);
    let (at, count) = (512 * number(512 + 72, 8) as usize, number(512 + 80, 4) as usize);
    let entries = &disk[at..at + count * 128];
    if disk[512..520] != *b"EFI PART" || crc(&header) != number(528, 4) || crc(entries) != number(600, 4) {
        return Vec::new();
    }
    let slot = |n: usize| {
        let (first, last) = (number(at + n * 128 + 32, 8), number(at + n * 128 + 40, 8));
        (n as u32 + 1, first, last + 1 - first)
    };
    (0..count).filter(|n| entries[n * 128..n * 128 + 16] != [0; 16]).map(slot).collect()
}

/// Each state that a cut leaves: after each write, and within those to the table after each sector. Those whose table
/// is no other than that of the one before are left out of the second.
fn states(play: &Play, mut each: impl FnMut(&[u8], usize)) {
    let mut disk = play.before.clone();
    let end = disk.len();
    for (number, event) in play.events.iter().enumerate() {
        if let Event::Write(at, data) = event {
            let at = *at as usize;
            if at < MIB || at + data.len() > end - MIB {
                for (sector, bytes) in data.chunks(512).enumerate() {
                    let at = at + sector * 512;
                    if disk[at..at + bytes.len()] != *bytes {
                        disk[at..at + bytes.len()].copy_from_slice(bytes);
                        each(&disk, number);
                    }
                }
            }
        }
        apply(&mut disk, event);
        each(&disk, number + 1);
    }
}

/// Puts a state on a disk of its own, as a machine that comes up finds it, and boots it.
fn boots(stage: &mut Stage, state: &[u8], cmdline: &str) -> Value {
    let image = "/images/state.img";
    let _ = fs::remove_file(image);
    let file = fs::File::create(image).unwrap();
    file.set_len(state.len() as u64).unwrap();
    for (number, block) in state.chunks(4096).enumerate().filter(|(_, block)| *block != [0; 4096]) {
        std::os::unix::fs::FileExt::write_all_at(&file, block, number as u64 * 4096).unwrap();
    }
    let node = run("losetup", &["--find", "--show", image]).trim().to_owned();
    let card = Card { disk: Disk { node, image: image.into() } };
    for (number, start, sectors) in linux(state) {
        card.tell(number, start, sectors);
    }
    stage.root = Disk { node: card.part(1), image: image.into() };
    stage.reboot();
    let record = stage.assemble(cmdline);
    let kept = fs::read_to_string("/sysroot/kept").unwrap_or_default();
    let at = mount_at("/run/overlayfs-backing").map(|mount| mount.source).unwrap_or_default();
    let right = reason(&record) == ("applied", "") && at == card.part(3);
    let room = statvfs("/run/overlayfs-backing").map_or(0, |stat| stat.blocks() * stat.fragment_size());
    stage.reboot();
    unmount("/sysroot");
    drop(card);
    serde_json::json!({ "right": right, "kept": kept, "mib": room >> 20, "record": record })
}

/// A first boot (`first` is `None`), or one that grows.
fn survives_each_cut(
    name: &'static str,
    table: &'static str,
    mib: usize,
    first: Option<&'static str>,
    cmdline: &'static str,
) {
    on_stage(name, move |stage| {
        let play = recorded(stage, table, mib, first, cmdline);
        let tables = |disk: &[u8]| linux(disk).iter().map(|part| part.2).collect::<Vec<_>>();
        let mut all = Vec::new();
        states(&play, |disk, number| {
            let seen = tables(disk);
            assert!(
                seen.starts_with(&[49152, 8192]),
                "after {number} writes of {} Linux sees {seen:?}",
                play.events.len()
            );
            all.push((number, seen));
        });
        let (mut tried, mut last) = (0, usize::MAX);
        states(&play, |disk, number| {
            if number == last {
                return;
            }
            (tried, last) = (tried + 1, number);
            let came = boots(stage, disk, cmdline);
            let of = format!("after {number} of {} writes, acknowledged at {}", play.events.len(), play.acknowledged);
            assert_eq!(came["right"], true, "{of}: {:#}", came["record"]);
            assert!(number < play.acknowledged || came["kept"] == "once", "{of}: lost: {:#}", came["record"]);
            // What the cut left undone of a growth is done now, also where the table has its new size already.
            assert!(
                first.is_none() || came["mib"].as_u64() >= Some(299),
                "{of}: {} MiB: {:#}",
                came["mib"],
                came["record"]
            );
        });
        println!("{name}: {} states, {tried} boots, {} writes", all.len(), play.events.len());
        assert!(tried > 8, "{tried} boots of {} writes", play.events.len());
    });
}

#[test]
fn a_first_boot_on_gpt_survives_each_cut() {
    survives_each_cut("part-cuts-gpt", "gpt", 64, None, "rd.overlay=part:pcg,size=16M");
}

#[test]
fn a_first_boot_on_dos_survives_each_cut() {
    survives_each_cut("part-cuts-dos", "dos", 64, None, "rd.overlay=part:pcd,size=16M");
}

#[test]
fn growing_on_gpt_survives_each_cut() {
    let (first, then) = ("rd.overlay=part:pgg,fs=btrfs,size=130M", "rd.overlay=part:pgg,fs=btrfs,size=300M,grow");
    survives_each_cut("part-cuts-grow", "gpt", 400, Some(first), then);
}

#[test]
fn growing_on_dos_survives_each_cut() {
    let (first, then) = ("rd.overlay=part:pgd,fs=btrfs,size=130M", "rd.overlay=part:pgd,fs=btrfs,size=300M,grow");
    survives_each_cut("part-cuts-growd", "dos", 400, Some(first), then);
}

#[test]
fn a_disk_with_sectors_of_4096_bytes_has_the_same() {
    on_stage("part-4k", |stage| {
        let disk = stage.disk("card.img", 96, &[]);
        run("losetup", &["--sector-size", "4096", &disk.node]);
        let card = Card { disk };
        card.sfdisk(&["--no-tell-kernel"], "label: gpt\nstart=256, size=6144, name=boot\nstart=6400, size=1024\n");
        card.tell(1, 2048, 49152);
        card.tell(2, 51200, 8192);
        run("mke2fs", &["-q", "-F", "-F", "-t", "ext4", "-b", "4096", &card.part(1)]);
        card.takes_the_root(stage);
        let cmdline = format!("rd.overlay=part:s{}", stage.tag);
        let record = stage.assemble(&cmdline);
        assert_eq!(reason(&record), ("applied", ""), "{record:#}");
        assert_eq!(card.table()[2]["start"].as_u64(), Some(29 * 256));
        assert_eq!(blkid(&card.part(3), "LABEL"), format!("s{}", stage.tag));
        run("sfdisk", &["--verify", &card.disk.node]);
    });
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! A disk with a root on its first partition, for uppers that are partitions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use crate::off::unmount;
use crate::{Disk, Stage, mounts, run};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Bytes.
pub const MIB: usize = 1 << 20;

/// A disk with a root on its first partition and somebody's bytes on its second. The kernel here may know no
/// tables, so it is told of each partition.
pub struct Card {
    /// The disk.
    pub disk: Disk,
}

impl Card {
    /// `table` is sfdisk's word; the disk has `mib` MiB, and is free from 29 MiB on.
    pub fn new(stage: &mut Stage, table: &str, mib: u64) -> Self {
        let disk = stage.disk("card.img", mib, &[]);
        Self::on(stage, table, disk, mib)
    }

    /// The same on a disk that is there, all zeroes, as an image of `mib` MiB that was copied to it.
    pub fn on(stage: &mut Stage, table: &str, disk: Disk, mib: u64) -> Self {
        let card = Self { disk };
        let names = if table == "gpt" { ["name=boot,", "name=data,"] } else { ["bootable,", ""] };
        let lines = format!("label: {table}\nstart=2048,{} size=49152\nstart=51200,{} size=8192\n", names[0], names[1]);
        let image = "/images/image.img";
        fs::File::create(image).unwrap().set_len(mib << 20).unwrap();
        fs::write("/tmp/script", lines).unwrap();
        run("sh", &["-c", &format!("sfdisk --quiet {image} < /tmp/script")]);
        run(
            "dd",
            &[&format!("if={image}"), &format!("of={}", card.disk.node), "bs=1M", "conv=sparse,fsync", "status=none"],
        );
        fs::remove_file(image).unwrap();
        card.tell(1, 2048, 49152);
        card.tell(2, 51200, 8192);
        run("mke2fs", &["-q", "-F", "-t", "ext4", &card.part(1)]);
        let noise: Vec<u8> = (0..4 * MIB as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(card.part(2), noise).unwrap();
        card.takes_the_root(stage);
        card
    }

    /// Copies the stage's root into the file system on the first partition, which is the root from then on.
    pub fn takes_the_root(&self, stage: &mut Stage) {
        run("mount", &[&self.part(1), "/mnt"]);
        run("cp", &["-a", "/sysroot/.", "/mnt"]);
        unmount("/mnt");
        unmount("/sysroot");
        stage.root = Disk { node: self.part(1), image: self.disk.image.clone() };
        stage.mount_root("ro");
    }

    /// Node of a partition.
    pub fn part(&self, number: u32) -> String {
        format!("{}p{number}", self.disk.node)
    }

    /// Tells the kernel.
    pub fn tell(&self, number: u32, start: u64, sectors: u64) {
        run("addpart", &[&self.disk.node, &number.to_string(), &start.to_string(), &sectors.to_string()]);
    }

    /// Runs sfdisk with a script.
    pub fn sfdisk(&self, args: &[&str], script: &str) {
        fs::write("/tmp/script", script).unwrap();
        let line = format!("sfdisk --quiet --no-reread {} {} < /tmp/script", args.join(" "), self.disk.node);
        run("sh", &["-c", &line]);
    }

    /// The table's lines, as sfdisk has them.
    pub fn table(&self) -> Vec<Value> {
        let json: Value = serde_json::from_str(&run("sfdisk", &["--json", &self.disk.node])).unwrap();
        json["partitiontable"]["partitions"].as_array().unwrap().clone()
    }

    /// Table and first two partitions; the copy of a GPT aside.
    pub fn head(&self) -> Vec<u8> {
        self.disk.bytes()[..29 * MIB].to_vec()
    }

    /// Both partitions, without the table.
    pub fn others(&self) -> Vec<u8> {
        self.head()[MIB..].to_vec()
    }

    /// As the image would be, copied to a larger card.
    pub fn enlarge(&self, mib: u64) {
        fs::OpenOptions::new().write(true).open(&self.disk.image).unwrap().set_len(mib << 20).unwrap();
        run("losetup", &["-c", &self.disk.node]);
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        for mount in
            mounts().iter().rev().filter(|mount| mount.at.starts_with("/sysroot") || mount.at.starts_with("/run"))
        {
            let _ = Command::new("umount").args(["-l", &mount.at]).output();
        }
        // What was unmounted lazily may still be let go of, and a partition that stays is the next test's.
        for number in 1..9 {
            let there = Path::new("/sys/class/block").join(self.part(number).trim_start_matches("/dev/"));
            for _ in 0..100 {
                if !there.exists() {
                    break;
                }
                let _ = Command::new("delpart").args([&self.disk.node, &number.to_string()]).output();
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Outcome and first reason of a record.
pub fn reason(record: &Value) -> (&str, &str) {
    (record["outcome"].as_str().unwrap(), record["reasons"][0]["code"].as_str().unwrap_or_default())
}

/// What blkid says of a tag.
pub fn blkid(node: &str, tag: &str) -> String {
    run("blkid", &["-p", "-o", "value", "-s", tag, node]).trim().to_owned()
}

/// Puts a script before sfdisk, which sees its arguments.
pub fn instead_of_sfdisk(script: &str) {
    let real = ["/usr/sbin/sfdisk", "/sbin/sfdisk"].into_iter().find(|path| fs::exists(path).unwrap()).unwrap();
    fs::copy(real, "/tmp/sfdisk").unwrap();
    fs::write("/tmp/fake", format!("#!/bin/sh\n{script}\nexec /tmp/sfdisk \"$@\"\n")).unwrap();
    run("chmod", &["755", "/tmp/fake"]);
    run("mount", &["--bind", "/tmp/fake", real]);
}

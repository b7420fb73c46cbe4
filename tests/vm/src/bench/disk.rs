// SPDX-License-Identifier: GPL-2.0-or-later
//! The part of `vm bench` that needs a disk: resets beside `rm -r`, writes through a loop file beside a
//! bare partition, and how long the file takes to make.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::said::{self, step_ms};
use crate::case::{FsKind, RootKind};
use crate::cell::{Cell, Initrd, Suite, Variant};
use crate::engine::Engine;
use crate::fsimage::{self, Identity};
use crate::host::{self, Host};
use crate::images::ImageSet;
use crate::machine::{Attach, Boot, Machine, read};
use crate::plan::Need;

const CELL: Cell = Cell { suite: Suite::Trixie, initrd: Initrd::Systemd };
/// What the benches boot from. Only QEMU has disks that are as slow as a card.
pub(super) const NEEDS: [Need; 2] =
    [(CELL, Variant::Mkfs, RootKind::Ext4, Engine::Uml), (CELL, Variant::Mkfs, RootKind::Ext4, Engine::Qemu)];

const FILES: [usize; 3] = [10_000, 100_000, 500_000];
const EACH_DIR: usize = 1000;
/// `rm -r` goes by so many parts, for a line of the agent has a time limit.
const PARTS: usize = 5;

const MEBI: usize = 300;
const ROUNDS: usize = 3;
/// Name, and what fio is told.
const PROFILES: [(&str, &str); 4] = [
    ("sequential, 1 MiB, fsync at the end", "--rw=write --bs=1M --size=128M --end_fsync=1"),
    ("random, 4 KiB, fsync at the end", "--rw=randwrite --bs=4k --size=64M --end_fsync=1"),
    ("sequential, 1 MiB, direct", "--rw=write --bs=1M --size=128M --direct=1"),
    ("random, 4 KiB, direct", "--rw=randwrite --bs=4k --size=16M --direct=1"),
];

/// The chapters of docs/internals/benchmarks.md.
///
/// # Errors
/// When something can't be made, or a boot does not hold.
pub(super) fn chapters(of: &super::Bench<'_>) -> Result<String> {
    let bench = Bench { host: of.host, set: of.set(Variant::Mkfs)?, dir: of.dir };
    fs::create_dir_all(of.dir)?;
    let mut rows = String::new();
    for files in FILES {
        rows.push_str(&host::step(&format!("reset of {files} files"), || bench.reset(files))?);
    }
    let (writes, making) = host::step("writes through a loop file and beside it", || bench.writes())?;
    Ok(format!(
        "\n## Reset\n\nAn upper of so many files of 100 bytes on an ext4 of its own. Ours is the step `reset` of a boot with\n\
         `rd.overlay.reset` as the record has it; the trash is emptied later, by the host. The other is `rm -r` of the\n\
         same files in the same guest, which is what a reset by removing them costs. tests/rootns/tests/cost/reset.rs holds\n\
         the reset of half a million files under 50 ms.\n\n\
         | files | `reset` | `rm -r` |\n|---|---|---|\n{rows}\n\
         ## Writes through a loop file\n\nfio in a guest of QEMU, one job: into the merged root, whose upper is an ext4 of {MEBI} MiB in a\n\
         loop file on the root's ext4, and into an ext4 of that size on a partition of the same disk. It may write 10 MB\n\
         and 500 requests a second, what an A1 SD card must do at least. Median of {ROUNDS}, in turns. On a disk with\n\
         2000 requests a second a single writer of 4 KiB with direct I/O got 0.65 of the partition: each request\n\
         costs this emulated processor 0.3 ms more, and tens of microseconds a real one. `dir:` has no such cost.\n\n| | partition | loop file | ratio |\n|---|---|---|---|\n{writes}\n\
         ## Making the loop file\n\nThe step `make-loop-file` of the first boot with `size={MEBI}M` (space reserved, ext4 made, synced), and\n\
         `dd` of as many zeros with fsync beside it.\n\n| `make-loop-file` | `dd` |\n|---|---|\n{making}"
    ))
}

struct Bench<'a> {
    host: &'a Host,
    set: &'a ImageSet,
    dir: &'a Path,
}

impl Bench<'_> {
    fn root(&self) -> Result<std::path::PathBuf> {
        self.set.root_disks(RootKind::Ext4).into_iter().next().context("no root")
    }

    /// Boots, and gives back what the lines with `+` printed.
    fn boot(
        &self,
        engine: Engine,
        cmdline: &str,
        disks: &[(&Path, &str)],
        holds: String,
        timeout: u64,
    ) -> Result<String> {
        let attach = |(path, serial): &(&Path, &str)| Attach {
            path: path.to_path_buf(),
            serial: (*serial).to_owned(),
            writable: false,
            late: None,
            // where the loop file and the partition are
            slow: *serial == "disk",
        };
        let boot = Boot {
            engine,
            kernel: self.set.kernel(),
            initrd: self.set.initrd((CELL.initrd, Variant::Mkfs, engine)),
            cmdline: format!("root=LABEL=root ro {cmdline}"),
            disks: disks.iter().map(attach).collect(),
            holds,
            timeout: Duration::from_secs(timeout),
            ..Boot::default()
        };
        let machine = Machine::new(self.host, self.dir)?;
        let outcome = machine.boot(&boot)?;
        ensure!(outcome.failure.is_none(), "{:?}\n{}\n{}", outcome.failure, outcome.failed, outcome.console);
        Ok(said::shown(&read(&self.dir.join("channel"))))
    }

    fn reset(&self, files: usize) -> Result<String> {
        let img = self.dir.join("upper.img");
        self.full_upper(&img, files)?;
        let mut holds = "overlay_root\nrecord .effective.reset true\nsystemctl stop overlayroot-rs-trash.service\n\
            mkdir -p /run/copy && /usr/bin/mount -t ext4 /dev/disk/by-id/virtio-copy /run/copy\n+ cat /run/overlayroot/state.json\n"
            .to_owned();
        for part in 0..PARTS {
            // as long as nothing is on the disk, nothing is gone
            holds.push_str(&format!(
                "+ {}\n",
                timed(&format!("/usr/bin/rm -r /run/copy/overlay/{part} && sync -f /run/copy"))
            ));
        }
        let disks = [(self.root()?, "root"), (img.clone(), "upper"), (img.clone(), "copy")];
        let disks: Vec<_> = disks.iter().map(|(path, serial)| (path.as_path(), *serial)).collect();
        let cmdline = "rd.overlay=/dev/disk/by-id/virtio-upper rd.overlay.reset";
        let said = self.boot(Engine::Uml, cmdline, &disks, holds, 600)?;
        fs::remove_file(img)?;
        let times = seconds(&said);
        ensure!(times.len() == PARTS, "rm took too long:\n{}", host::tail(&said, 10));
        let removing: f64 = times.iter().sum();
        Ok(format!("| {files} | {:.1} ms | {removing:.1} s |\n", step_ms(&said::record(&said)?, "reset")?))
    }

    fn full_upper(&self, img: &Path, files: usize) -> Result<()> {
        let top = self.dir.join("full");
        fs::create_dir_all(top.join("ovlwork"))?;
        for number in 0..files {
            let dir = number / EACH_DIR;
            let dir = top.join(format!("overlay/{}/{dir}", dir % PARTS));
            if number % EACH_DIR == 0 {
                fs::create_dir_all(&dir)?;
            }
            fs::write(dir.join(number.to_string()), [b'x'; 100])?;
        }
        fs::File::create(img)?.set_len(u64::try_from(files)? * 5000 + (128 << 20))?;
        let mut mkfs = Command::new("mke2fs");
        mkfs.args(["-q", "-F", "-t", "ext4", "-m", "0", "-N", &(files + files / 4).to_string(), "-d"]);
        host::run(mkfs.arg(&top).arg(img))?;
        Ok(fs::remove_dir_all(top)?)
    }

    /// The rows of the writes, and of the making.
    fn writes(&self) -> Result<(String, String)> {
        let (disk, fio) = (self.dir.join("disk.img"), self.dir.join("fio.img"));
        let lines = format!(
            "truncate -s {size}M \"$IMG\"; printf 'label: gpt\\nstart=1MiB,size={root}MiB\\nsize={MEBI}MiB\\n' | sfdisk -q \"$IMG\"\n\
             dd if=\"$ROOT\" of=\"$IMG\" bs=1M seek=1 conv=sparse,notrunc status=none\n\
             truncate -s {MEBI}M \"$TMP/bare\"; mke2fs -q -F -t ext4 -m 0 -L bare \"$TMP/bare\"\n\
             dd if=\"$TMP/bare\" of=\"$IMG\" bs=1M seek={at} conv=sparse,notrunc status=none; rm \"$TMP/bare\"",
            root = ROOT_MEBI,
            at = ROOT_MEBI + 1,
            size = ROOT_MEBI + MEBI + 8,
        );
        let root = self.root()?;
        host::shell(&lines, &[("IMG", &disk), ("ROOT", &root), ("TMP", self.dir)])?;
        self.fio_disk(&fio)?;
        let disks = [(disk.as_path(), "disk"), (fio.as_path(), "fio")];
        let cmdline = format!("rd.overlay=loop:/upper.img,size={MEBI}M");
        let said = self.boot(Engine::Qemu, &cmdline, &disks, writing(), 1800)?;
        let mut rows = String::new();
        for (number, (name, _)) in PROFILES.iter().enumerate() {
            let (bare, looped) = (median(&said, number, "bare")?, median(&said, number, "loop")?);
            rows.push_str(&format!(
                "| {name} | {bare} KiB/s | {looped} KiB/s | {:.2} |\n",
                looped as f64 / bare as f64
            ));
        }
        let dd = seconds(&said).first().copied().context("dd took too long")?;
        Ok((rows, format!("| {:.0} ms | {:.0} ms |\n", step_ms(&said::record(&said)?, "make-loop-file")?, dd * 1000.0)))
    }

    /// fio and its libraries: the guests have none.
    fn fio_disk(&self, img: &Path) -> Result<()> {
        let to = self.dir.join("fio");
        let lines = "mkdir -p \"$TO\"; fio=$(command -v fio); cp \"$fio\" \"$TO/\"\n\
            for lib in $(ldd \"$fio\" | grep -o '/[^ ]*'); do cp -L \"$lib\" \"$TO/\"; done; mv \"$TO\"/ld-linux*.so* \"$TO/ld.so\"";
        host::shell(lines, &[("TO", &to)]).context("fio: packaging/deps.sh bench")?;
        fsimage::make(self.host, img, 256 << 20, FsKind::Ext4, Identity { label: Some("fio"), uuid: None }, &to)
    }
}

/// The root's image and some room: the loop file, and what the guest writes besides.
const ROOT_MEBI: usize = 1700;

fn writing() -> String {
    let mut holds = "overlay_root\nloop_of /upper.img\nmkdir -p /run/bare /run/fio\n\
        /usr/bin/mount -t ext4 LABEL=bare /run/bare\n/usr/bin/mount -o ro LABEL=fio /run/fio\n+ cat /run/overlayroot/state.json\n"
        .to_owned();
    let zeros = "/run/initramfs/overlayroot/root/zeros";
    let dd = format!("dd if=/dev/zero of={zeros} bs=1M count={MEBI} conv=fsync");
    holds.push_str(&format!("+ {}\nrm {zeros} && sync\n", timed(&dd)));
    for round in 0..ROUNDS {
        for (number, (_, told)) in PROFILES.iter().enumerate() {
            let mut places = [("bare", "/run/bare"), ("loop", "/root")];
            places.rotate_left(round % 2);
            for (name, place) in places {
                holds.push_str(&format!(
                    "+ /run/fio/ld.so --library-path /run/fio /run/fio/fio --name={name}{number} \
                     --filename={place}/fio.dat {told} --thread --ioengine=psync --unlink=1 --output-format=terse\n"
                ));
            }
        }
    }
    holds
}

/// A line that prints the seconds which another takes.
fn timed(line: &str) -> String {
    let now = "$(cut -d ' ' -f 1 /proc/uptime)";
    format!("sync; a={now} && {line} && echo \"SECONDS $a {now}\"")
}

fn seconds(said: &str) -> Vec<f64> {
    let lines = said.lines().filter_map(|line| line.strip_prefix("SECONDS "));
    let pairs = lines.filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(from, to)| Some(to.parse::<f64>().ok()? - from.parse::<f64>().ok()?)).collect()
}

/// KiB/s written: field 48 of fio's terse version 3.
fn median(said: &str, number: usize, place: &str) -> Result<u64> {
    let name = format!(";{place}{number};");
    let lines = said.lines().filter(|line| line.starts_with("3;") && line.contains(&name));
    let mut all: Vec<u64> = lines.filter_map(|line| line.split(';').nth(47)?.parse().ok()).collect();
    ensure!(all.len() == ROUNDS, "fio did not end:\n{}", host::tail(said, 10));
    all.sort_unstable();
    all.get(ROUNDS / 2).copied().context("no rounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_said_is_read() {
        let said = "SECONDS 10.50 12.75\nSECONDS 1 2\n";
        assert_eq!(seconds(said), [2.25, 1.0]);
        let line = |kib: u32| format!("3;fio-3.33;loop1;0;0;{}{kib};9;9\n", "0;".repeat(42));
        assert_eq!(median(&[30, 10, 20].map(line).concat(), 1, "loop").unwrap(), 20);
        assert!(median(&line(30), 1, "loop").is_err());
    }
}

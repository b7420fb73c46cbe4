// SPDX-License-Identifier: GPL-2.0-or-later
//! A guest that runs until its power is cut.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::root::{MARK, RECORDS, Roots};
use super::scenario::Model;
use crate::engine::Engine;
use crate::host::{self, Host};
use crate::machine::{self, read};
use crate::processor::Processor;
use crate::qemu;

const POLL: Duration = Duration::from_millis(4);
/// For the way to the guest's own program; it takes some ten seconds alone.
const PATIENCE: Duration = Duration::from_secs(120);

/// How far a boot got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The kernel, and the initramfs before our hook.
    Early,
    /// While our program ran.
    Assembling,
    /// It had ended, the root was not switched.
    Assembled,
    /// The guest's program ran and wrote nothing yet.
    Up,
    /// Records were written.
    Load,
}

impl Phase {
    pub(crate) const ALL: [(Self, &'static str); 5] = [
        (Self::Early, "initramfs, before ours"),
        (Self::Assembling, "while ours runs"),
        (Self::Assembled, "until switch-root"),
        (Self::Up, "after switch-root"),
        (Self::Load, "while writing"),
    ];
}

/// When to cut: so long after a phase began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instruction {
    pub(crate) from: Phase,
    pub(crate) after: Duration,
}

/// A boot's arguments and disks.
#[derive(Debug)]
pub(crate) struct Boot<'a> {
    pub(crate) host: &'a Host,
    pub(crate) roots: &'a Roots,
    pub(crate) dir: &'a Path,
    pub(crate) disk: &'a Path,
    pub(crate) model: Model,
    /// Whether the root is a btrfs.
    pub(crate) btrfs: bool,
    /// The number of the first record.
    pub(crate) first: u32,
    pub(crate) arguments: String,
}

/// What a cut boot left beside its disk.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) phase: Phase,
    /// What the guest's program said.
    pub(crate) said: String,
    /// From the start to where it was ready to write.
    pub(crate) ready: Option<Duration>,
    /// From the hook before ours to where our program said what it did.
    pub(crate) assembling: Option<Duration>,
    /// Whether our program said that it had done what was asked for.
    pub(crate) applied: bool,
}

impl Boot<'_> {
    /// Runs the guest and cuts its power. A panic before init is this emulation's and is tried once more.
    pub(crate) fn until_cut(&self, when: Instruction) -> Result<Ended> {
        let again = self.once(when);
        let log = read(&self.file("serial.log"));
        let early = log.contains("Kernel panic") && !log.contains("Run /init as init process");
        if again.is_err() && early { self.once(when) } else { again }
    }

    /// The log of writes, with [`Model::Reorder`].
    pub(crate) fn write_log(&self) -> PathBuf {
        self.file("writes.log")
    }

    fn once(&self, when: Instruction) -> Result<Ended> {
        for name in ["serial.log", "channel", "files", "writes.log"] {
            File::create(self.file(name))?;
        }
        let log = File::create(self.file("engine.log"))?;
        let processor = Processor::take();
        let mut command = match self.roots.engine(self.model) {
            Engine::Uml => self.uml(&processor)?,
            Engine::Qemu => {
                let mut command = self.qemu();
                command.stdout(log.try_clone()?);
                command
            }
        };
        let (mut end, theirs) = UnixStream::pair()?;
        let child = command.stdin(OwnedFd::from(theirs)).stderr(log).spawn().context("the guest")?;
        drop(command);
        let mut guest = Guest::new(self, child)?;
        let ended = guest.watch(when);
        guest.child.kill()?;
        guest.child.wait()?;
        // the cut: whatever it was doing, it does no more. The one that was killed may not be the last that runs.
        end.set_read_timeout(Some(Duration::from_secs(20)))?;
        ensure!(end.read(&mut [0; 64]).context("the guest does not die")? == 0, "the guest wrote into its input");
        guest.look()?;
        ended?;
        Ok(guest.ended())
    }

    fn arguments(&self) -> String {
        let own = format!("powercut.first={} powercut.last={RECORDS}", self.first);
        let init = "init=/usr/lib/overlayroot-vm/powercut";
        format!("printk.devkmsg=on root=LABEL=root ro {init} {own} {}", self.arguments)
    }

    fn uml(&self, processor: &Processor) -> Result<Command> {
        let mut command = self.host.uml()?.command(self.host, self.dir, machine::MEMORY, None, processor);
        command.stdout(File::create(self.file("serial.log"))?);
        command.arg(format!("initrd={}", self.roots.initrd(Engine::Uml).display()));
        // no discards, as in QEMU: what is not written stays as it was
        command.arg(format!("ubd0t={}", self.disk.display()));
        command.arg(format!("ubd1r={}", self.roots.records.display()));
        command.args(self.arguments().split_ascii_whitespace());
        Ok(command)
    }

    fn qemu(&self) -> Command {
        let mut command = qemu::qemu(self.host, self.dir, machine::MEMORY, self.host.accel(&self.roots.kernel), None);
        self.boot_from(&mut command);
        self.attach(&mut command);
        command
    }

    fn boot_from(&self, command: &mut Command) {
        command.arg("-kernel").arg(&self.roots.kernel).arg("-initrd").arg(self.roots.initrd(Engine::Qemu));
        let faster = qemu::blacklist(self.btrfs);
        command.arg("-append").arg(format!("{} {faster} {}", qemu::ALWAYS, self.arguments()));
        command.arg("-serial").arg(format!("file:{}", self.file("serial.log").display()));
        for (name, file) in [("verdict", "channel"), ("files", "files")] {
            let path = self.file(file);
            command.arg("-chardev").arg(format!("file,id={name},path={}", path.display()));
            command.arg("-device").arg(format!("virtserialport,chardev={name},name={name}"));
        }
    }

    /// The guest sees a disk with a volatile cache: what it wants to be sure of it must flush.
    fn attach(&self, command: &mut Command) {
        let file = |node: &str, path: &Path, more: &str| {
            format!("driver=file,locking=off,node-name={node},filename={}{more}", path.display())
        };
        command.arg("-blockdev").arg(file("root-file", self.disk, ""));
        let root = match self.model {
            Model::Prefix => "driver=raw,node-name=root,file=root-file",
            Model::Reorder => {
                command.arg("-blockdev").arg(file("log", &self.write_log(), ""));
                "driver=blklogwrites,node-name=root,file=root-file,log=log"
            }
        };
        command.arg("-blockdev").arg(root);
        command.arg("-blockdev").arg(file("records", &self.roots.records, ",read-only=on"));
        let device = "virtio-blk-pci,discard=off,write-zeroes=off";
        command.arg("-device").arg(format!("{device},drive=root,write-cache=on"));
        command.arg("-device").arg(format!("{device},drive=records"));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// A running one.
struct Guest {
    child: Child,
    serial: Tail,
    channel: Tail,
    start: Instant,
    /// When each phase was first seen.
    seen: Vec<(Phase, Instant)>,
}

impl Guest {
    fn new(boot: &Boot<'_>, child: Child) -> Result<Self> {
        let (serial, channel) = (Tail::open(&boot.file("serial.log"))?, Tail::open(&boot.file("channel"))?);
        let start = Instant::now();
        Ok(Self { child, serial, channel, start, seen: vec![(Phase::Early, start)] })
    }

    fn watch(&mut self, when: Instruction) -> Result<()> {
        loop {
            self.look()?;
            let cut = self.at(when.from).is_some_and(|at| at.elapsed() >= when.after);
            // cut after the last boot's first record: that it can be written was seen
            let first = when.after > Duration::ZERO || self.channel.text.contains("ACK ");
            if cut && first {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the guest ended by itself ({status}):\n{}", host::tail(&self.serial.text, 25));
            }
            if self.channel.text.contains("STOPPED") && !self.channel.text.contains(&format!("STOPPED at {RECORDS}")) {
                bail!("a write failed in the guest:\n{}", host::tail(&self.serial.text, 25));
            }
            if self.start.elapsed() > PATIENCE && self.at(Phase::Load).is_none() {
                bail!("it did not come up in {} s:\n{}", PATIENCE.as_secs(), host::tail(&self.serial.text, 25));
            }
            sleep(POLL);
        }
    }

    fn at(&self, phase: Phase) -> Option<Instant> {
        self.seen.iter().find(|(seen, _)| *seen == phase).map(|(_, at)| *at)
    }

    fn look(&mut self) -> Result<()> {
        self.serial.read()?;
        self.channel.read()?;
        let marks = [
            (Phase::Assembling, self.serial.text.contains(MARK)),
            (Phase::Assembled, self.applied() || self.serial.text.contains("asked for")),
            (Phase::Up, self.channel.text.contains("UP\n")),
            (Phase::Load, self.channel.text.contains("READY\n")),
        ];
        for (phase, is) in marks {
            if is && self.at(phase).is_none() {
                self.seen.push((phase, Instant::now()));
            }
        }
        Ok(())
    }

    fn applied(&self) -> bool {
        self.serial.text.contains("overlayroot-rs: applied")
    }

    fn ended(&self) -> Ended {
        let between = |from: Option<Instant>, to: Option<Instant>| Some(to?.duration_since(from?));
        Ended {
            phase: self.seen.iter().map(|(phase, _)| *phase).max().unwrap_or(Phase::Early),
            said: self.channel.text.clone(),
            ready: between(Some(self.start), self.at(Phase::Load)),
            assembling: between(self.at(Phase::Assembling), self.at(Phase::Assembled)),
            applied: self.applied(),
        }
    }
}

/// A file that grows while it is read.
struct Tail {
    file: File,
    text: String,
}

impl Tail {
    fn open(path: &Path) -> Result<Self> {
        Ok(Self { file: File::open(path)?, text: String::new() })
    }

    fn read(&mut self) -> Result<()> {
        let mut new = Vec::new();
        self.file.read_to_end(&mut new)?;
        self.text.push_str(&String::from_utf8_lossy(&new));
        Ok(())
    }
}

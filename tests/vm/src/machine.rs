// SPDX-License-Identifier: GPL-2.0-or-later
//! One boot of one guest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::case::Stage;
use crate::disk;
use crate::engine::{self, Engine};
use crate::host::Host;
use crate::net::Cable;
use crate::processor::Processor;
use crate::qemu;
use crate::ram::Ram;
use crate::uml;
use crate::watch::Watch;

/// MiB of a guest where nothing else is said.
pub(crate) const MEMORY: u32 = 1024;

/// A disk of the guest.
#[derive(Clone, Debug, Default)]
pub struct Attach {
    /// The image.
    pub path: PathBuf,
    /// The serial in the guest.
    pub serial: String,
    /// Writes last; otherwise they are dropped at the end.
    pub writable: bool,
    /// Plugged in so long after this text was seen on the console.
    pub late: Option<(Duration, String)>,
    /// Writes as an A1 SD card must at least: 10 MB and 500 requests a second.
    pub slow: bool,
}

/// What is booted, and what must hold.
#[derive(Clone, Debug)]
pub struct Boot {
    /// What runs it.
    pub engine: Engine,
    /// Kernel; user-mode Linux is one itself.
    pub kernel: PathBuf,
    /// Initramfs.
    pub initrd: PathBuf,
    /// Kernel arguments beside those of [`Machine`].
    pub cmdline: String,
    /// Disks in order, from /dev/vda.
    pub disks: Vec<Attach>,
    /// Lines for the guest's agent.
    pub holds: String,
    /// Where they are run.
    pub stage: Stage,
    /// For the boot up to the verdict.
    pub timeout: Duration,
    /// From the verdict to QEMU's end, at most: a clean shutdown takes seconds.
    pub shutdown: Duration,
    /// Its RAM in MiB.
    pub memory: u32,
    /// Its network; none by default.
    pub nic: Option<Nic>,
    /// Its RAM in use is watched, and it is switched off at the verdict: what comes after is not measured. It has
    /// no disk that is plugged in late.
    pub measured: bool,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            kernel: PathBuf::new(),
            initrd: PathBuf::new(),
            cmdline: String::new(),
            disks: Vec::new(),
            holds: String::new(),
            stage: Stage::Host,
            timeout: Duration::from_secs(240),
            shutdown: Duration::from_secs(60),
            memory: MEMORY,
            nic: None,
            measured: false,
        }
    }
}

/// A network card, and the machine's firmware, which user-mode Linux has not.
#[derive(Clone, Debug)]
pub struct Nic {
    /// Where it is plugged in.
    pub cable: Cable,
    /// Serial number in the machine's firmware.
    pub serial: String,
    /// UUID there.
    pub uuid: String,
    /// The machine has no kernel of its own, it boots from this card.
    pub boots: bool,
    /// By UEFI.
    pub uefi: bool,
}

/// What came of a boot.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Why it failed; none when the guest itself said that all holds.
    pub failure: Option<String>,
    /// What the agent wrote of the lines which failed.
    pub failed: String,
    /// From QEMU's start to the verdict.
    pub verdict: Option<Duration>,
    /// Guest's uptime when the system was ready.
    pub ready: Option<f32>,
    /// The same from QEMU's start, by the host's clock.
    pub up: Option<Duration>,
    /// Of a measured boot, up to then.
    pub ram: Option<Ram>,
    /// From the verdict to QEMU's end.
    pub shutdown: Duration,
    /// The console's log.
    pub serial: PathBuf,
    /// Its last lines up to the verdict; with a failed shutdown, to the end.
    pub console: String,
}

/// Boots guests, with their files in a directory.
#[derive(Debug)]
pub struct Machine<'a> {
    host: &'a Host,
    dir: PathBuf,
}

impl<'a> Machine<'a> {
    /// A machine whose files lie in that directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(host: &'a Host, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { host, dir: dir.to_path_buf() })
    }

    /// Boots, and waits for the end. A panic before init is the emulation's and is
    /// tried once more.
    ///
    /// # Errors
    /// When the guest cannot be started.
    pub fn boot(&self, boot: &Boot) -> Result<Outcome> {
        let outcome = self.once(boot)?;
        let log = read(&outcome.serial);
        let early = log.contains("Kernel panic") && !log.contains("Run /init as init process");
        if outcome.failure.is_some() && early {
            fs::rename(&outcome.serial, self.dir.join("serial-panic.log"))?;
            return self.once(boot);
        }
        Ok(outcome)
    }

    fn once(&self, boot: &Boot) -> Result<Outcome> {
        let logs = ["serial.log", "channel", "files", "qmp"].map(str::to_owned);
        for name in logs.into_iter().chain((0..boot.disks.len()).map(uml::written)) {
            if let Err(error) = fs::remove_file(self.dir.join(name)) {
                let gone = error.kind() == std::io::ErrorKind::NotFound;
                gone.then_some(()).context(error)?;
            }
        }
        let stage = match boot.stage {
            Stage::Host => "host",
            Stage::Emergency => "emergency",
        };
        let holds = engine::names(boot.engine, &boot.holds, &boot.disks);
        disk::make_holds(&self.dir.join("holds.img"), stage, &holds)?;
        let log = fs::File::create(self.dir.join("engine.log"))?;
        let processor = Processor::take();
        let mut command = match boot.engine {
            Engine::Uml => {
                let mut command = self.host.uml()?.boot(self.host, &self.dir, boot, &processor);
                // its console is what it prints
                command.stdout(fs::File::create(self.dir.join("serial.log"))?);
                command
            }
            Engine::Qemu => {
                let mut command = qemu::boot(self.host, &self.dir, boot, self.host.accel(&boot.kernel));
                command.stdout(log.try_clone()?);
                command
            }
        };
        let child = command.stdin(Stdio::null()).stderr(log).spawn().context("the guest")?;
        Watch { dir: &self.dir, boot, child, start: Instant::now() }.until_end()
    }
}

/// A file's text, whatever bytes are in it; nothing when it is not there yet.
#[must_use]
pub fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! One boot of one guest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::case::Stage;
use crate::disk;
use crate::engine::{self, Engine};
use crate::engines::Accel;
use crate::host::Host;
use crate::net::{self, Cable};
use crate::ram::{BALLOON, Ram};
use crate::watch::Watch;

/// Address randomisation costs this emulation half of its time; the rest is not tested.
pub(crate) const ALWAYS: &str = "console=ttyS0 nokaslr norandmaps mitigations=off audit=0 panic=-1 loglevel=6";

/// A CPU with few features has few modules loaded for it: a boot with `max` takes half as long again. Newer
/// kernels need cx16 left out under old QEMUs.
const CPU: &str = "qemu64,-cx16";

/// MiB of a guest where nothing else is said.
pub(crate) const MEMORY: u32 = 1024;

/// UEFI: Debian's packages ovmf, Fedora's edk2-ovmf.
const FIRMWARE: [&str; 3] =
    ["/usr/share/ovmf/OVMF.fd", "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_CODE.fd"];

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
        for name in ["serial.log", "channel", "files", "qmp"] {
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
        let mut command = match boot.engine {
            Engine::Uml => {
                let mut command = self.host.uml()?.boot(self.host, &self.dir, boot);
                // its console is what it prints
                command.stdout(fs::File::create(self.dir.join("serial.log"))?);
                command
            }
            Engine::Qemu => {
                let mut command = self.command(boot, self.host.accel(&boot.kernel));
                command.stdout(log.try_clone()?);
                command
            }
        };
        let child = command.stdin(Stdio::null()).stderr(log).spawn().context("the guest")?;
        Watch { dir: &self.dir, boot, child, start: Instant::now() }.until_end()
    }

    fn command(&self, boot: &Boot, accel: Accel) -> Command {
        let cable = boot.nic.as_ref().map(|nic| &nic.cable);
        let mut command = qemu(self.host, &self.dir, boot.memory, accel, cable);
        if boot.nic.as_ref().is_none_or(|nic| !nic.boots) {
            command.arg("-kernel").arg(&boot.kernel).arg("-initrd").arg(&boot.initrd);
            command.arg("-append").arg(arguments(&boot.cmdline));
        }
        if let Some(nic) = &boot.nic {
            plug(&mut command, nic);
        }
        command.arg("-serial").arg(format!("file:{}", self.file("serial.log")));
        command.arg("-chardev").arg(format!("file,id=verdict,path={}", self.file("channel")));
        command.args(["-device", "virtserialport,chardev=verdict,name=verdict"]);
        let holds = Attach {
            path: self.dir.join("holds.img"),
            serial: "holds".to_owned(),
            writable: false,
            late: None,
            slow: false,
        };
        for (index, attach) in boot.disks.iter().chain([&holds]).enumerate() {
            let snapshot = if attach.writable { "off" } else { "on" };
            let path = attach.path.display();
            // unsafe: what QEMU has written survives its end, and the host stays up
            let slow = if attach.slow { ",throttling.bps-write=10000000,throttling.iops-write=500" } else { "" };
            let drive = format!("if=none,id=d{index},format=raw,cache=unsafe,snapshot={snapshot}{slow},file={path}");
            command.args(["-drive", &drive]);
            if attach.late.is_none() {
                command.args(["-device", &format!("virtio-blk-pci,drive=d{index},serial={}", attach.serial)]);
            }
        }
        if boot.measured {
            command.args(["-device", &format!("virtio-balloon-pci,id={BALLOON}")]);
        }
        if boot.measured || boot.disks.iter().any(|attach| attach.late.is_some()) {
            command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", self.file("qmp")));
        }
        command
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

/// All kernel arguments; a case that looks for audit messages has them.
fn arguments(cmdline: &str) -> String {
    let audited = cmdline.split_ascii_whitespace().any(|word| word == "audit=1");
    let always = if audited { ALWAYS.replace(" audit=0", "") } else { ALWAYS.to_owned() };
    format!("{always} {cmdline}")
}

fn plug(command: &mut Command, nic: &Nic) {
    let rom = match (nic.boots, nic.uefi) {
        // OVMF has a driver of its own; a card that does not boot needs none, which saves a second
        (false, _) => ",romfile=",
        (true, true) => ",romfile=,bootindex=1",
        (true, false) => ",bootindex=1",
    };
    plug_in(command, &nic.cable, rom);
    command.args(["-smbios", &format!("type=1,serial={},uuid={}", nic.serial, nic.uuid)]);
    if nic.uefi {
        // none of them: QEMU's own error names the first
        let found = FIRMWARE.iter().find(|path| Path::new(path).exists());
        command.args(["-bios", found.unwrap_or(&FIRMWARE[0])]);
    }
}

/// A card of QEMU's; `more` is what else its device is told.
pub(crate) fn plug_in(command: &mut Command, cable: &Cable, more: &str) {
    command.args(["-netdev", &format!("tap,id=net,ifname={},script=no,downscript=no", cable.tap)]);
    command.args(["-device", &format!("virtio-net-pci,netdev=net,mac={}{more}", cable.mac)]);
}

/// QEMU with a machine as every guest gets it, its RAM in MiB, without what it boots from and without a card.
pub(crate) fn qemu(host: &Host, dir: &Path, memory: u32, accel: Accel, cable: Option<&Cable>) -> Command {
    let mut command = net::inside(cable);
    command.arg(&host.qemu);
    command.env("TMPDIR", dir);
    let (accel, cpu) = match accel {
        Accel::Kvm => ("kvm", "host"),
        Accel::Tcg => ("tcg", CPU),
    };
    command.args(["-accel", accel, "-cpu", cpu, "-smp", "1", "-m", &memory.to_string(), "-no-reboot"]);
    command.args(["-nodefaults", "-display", "none", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]);
    command
}

/// Leaves out modules which take a second or more of emulated time each: for disks that nobody has here, and
/// those of btrfs unless it has a part.
pub(crate) fn blacklist(btrfs: bool) -> String {
    format!("module_blacklist=ata_piix,ata_generic,pata_acpi{}", if btrfs { "" } else { ",btrfs,raid6_pq,xor" })
}

/// A file's text, whatever bytes are in it; nothing when it is not there yet.
#[must_use]
pub fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::Engines;

    #[test]
    fn the_machine_is_as_the_boot_says() {
        let place = PathBuf::from("/nowhere");
        let host = Host {
            repo: place.clone(),
            cache: place.clone(),
            work: place.clone(),
            images: place.clone(),
            qemu: "qemu".into(),
            engines: Engines::default(),
        };
        let machine = Machine { host: &host, dir: place };
        let line = |boot: &Boot| {
            let command = machine.command(boot, Accel::Tcg);
            command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        let plain = line(&Boot::default());
        assert!(plain.contains(" -m 1024 ") && !plain.contains("balloon") && !plain.contains("-qmp"), "{plain}");
        let cable = Cable { namespace: "/proc/7/ns/net".into(), tap: "tap2".into(), mac: "52:54:00:99:01:02".into() };
        let nic = Nic { cable, serial: "SN2".into(), uuid: String::new(), boots: true, uefi: false };
        let plugged = line(&Boot { nic: Some(nic), ..Boot::default() });
        assert!(plugged.contains("--net=/proc/7/ns/net -- qemu ") && !plugged.contains("unshare"), "{plugged}");
        assert!(plugged.contains("tap,id=net,ifname=tap2,") && plugged.contains(",bootindex=1"), "{plugged}");
        assert!(!plugged.contains("-kernel") && plugged.contains("serial=SN2"), "{plugged}");
        let measured = line(&Boot { memory: 512, measured: true, ..Boot::default() });
        assert!(measured.contains(" -m 512 "), "{measured}");
        assert!(measured.contains("virtio-balloon-pci,id=balloon0") && measured.contains("-qmp unix:"), "{measured}");
    }
}

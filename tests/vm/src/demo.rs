// SPDX-License-Identifier: GPL-2.0-or-later
//! `vm demo`: shows a person what the overlay does, on a root that really boots, as it happens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::case::{FsKind, RootKind};
use crate::cell::{Cell, Flavour, Initrd, Suite, Variant};
use crate::engine::Engine;
use crate::fsimage::{self, Identity};
use crate::host::{self, Host, say};
use crate::images::{ImageSet, Wanted};
use crate::machine::{Attach, Boot, Machine, Outcome, read};
use crate::payload;

mod scenes;
mod screen;
mod svg;

use scenes::{SCENES, Scene};
use screen::{Screen, Style};

const CELL: Cell = Cell { suite: Suite::Trixie, initrd: Initrd::Systemd };
const POLL: Duration = Duration::from_millis(100);
/// Said meanwhile.
const SUMMING: &str = "  checksum of the disk ...";

/// What is recorded, and where.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Write what is shown to an SVG, with its times
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// Boots the scenes one after the other, and shows each as it happens.
///
/// # Errors
/// When something can't be made, or does not hold.
pub fn run(host: &Host, args: &Args) -> Result<bool> {
    say("overlayroot-rs: a Debian 13 system boots, and what happens in it is shown.");
    say("The first run makes that system, which takes minutes; later runs begin at once.");
    let (set, runner) = prepare(host)?;
    let dir = host.work.join(format!("run-{}", std::process::id())).join("demo");
    fs::create_dir_all(&dir)?;
    let mut screen = Screen::open();
    let shown = Stage::set(host, &set, &runner, &dir, &mut screen).and_then(|mut stage| stage.play());
    // of use to nobody any more
    let _ = fs::remove_dir_all(&dir);
    shown?;
    if let Some(path) = &args.record {
        let svg = svg::draw(screen.rows());
        fs::write(path, &svg).with_context(|| path.display().to_string())?;
        say(&format!("\n{}: {} bytes", path.display(), svg.len()));
    }
    Ok(true)
}

/// The fastest that works on this machine.
struct Runner {
    engine: Engine,
    /// What its seconds are worth.
    says: String,
}

/// Makes the images; the initramfs for the engine that is taken only.
fn prepare(host: &Host) -> Result<(ImageSet, Runner)> {
    let payload = payload::build(host)?;
    let open = |initrds: Vec<_>| {
        let wanted = Wanted { initrds, roots: vec![RootKind::Ext4] };
        ImageSet::open(host, (CELL.suite, Flavour::Project), Some(&payload), &wanted)
    };
    say("Looking for the fastest engine: KVM, user-mode Linux, emulation.");
    // KVM is tried with the kernel that it would run
    let runner = runner(host, &open(Vec::new())?.kernel());
    let set = open(vec![(CELL.initrd, Variant::Plain, runner.engine)])?;
    Ok((set, runner))
}

fn runner(host: &Host, kernel: &Path) -> Runner {
    let no_kvm = match host.kvm(kernel) {
        Ok(()) => {
            let says = "QEMU with KVM. Hardware is about as fast".to_owned();
            return Runner { engine: Engine::Qemu, says };
        }
        Err(why) => why,
    };
    say(&format!("no KVM here: {no_kvm:#}"));
    match host.uml() {
        Ok(uml) => {
            let says = format!("user-mode Linux {}, a kernel as a program. Hardware is faster", uml.version);
            Runner { engine: Engine::Uml, says }
        }
        Err(why) => {
            say(&format!("no user-mode Linux here: {why:#}"));
            let says = "QEMU, which emulates each instruction. Hardware is many times faster".to_owned();
            Runner { engine: Engine::Qemu, says }
        }
    }
}

/// The guest with its disks, and who watches.
struct Stage<'a> {
    host: &'a Host,
    set: &'a ImageSet,
    engine: Engine,
    dir: &'a Path,
    screen: &'a mut Screen,
    disks: [Attach; 2],
    /// The root's disk before the first boot.
    before: String,
}

impl<'a> Stage<'a> {
    fn set(host: &'a Host, set: &'a ImageSet, runner: &Runner, dir: &'a Path, screen: &'a mut Screen) -> Result<Self> {
        let (root, persist, empty) = (dir.join("root.img"), dir.join("persist.img"), dir.join("empty"));
        // of its own: the guest may write to it
        host::copy_sparse(&set.root_disks(RootKind::Ext4).into_iter().next().context("no root")?, &root)?;
        fs::create_dir_all(&empty)?;
        let id = Identity { label: Some("persist"), uuid: None };
        fsimage::make(host, &persist, 64 << 20, FsKind::Ext4, id, &empty)?;
        screen.wait(SUMMING);
        let before = sum(&root)?;
        screen.waited();
        let attach =
            |path, serial: &str| Attach { path, serial: serial.to_owned(), writable: true, ..Attach::default() };
        let disks = [attach(root, "root"), attach(persist, "persist")];
        screen.line(Style::Note, "");
        screen.line(Style::Note, &format!("Runs by {}.", runner.says));
        screen.line(Style::Note, "The system's disk is a file here, and the guest may write to it. Only fsck is");
        screen.line(Style::Note, "off: it notes each check on the disk. The checksum before the first boot:");
        screen.line(Style::Output, &format!("  {before}  root.img"));
        Ok(Self { host, set, engine: runner.engine, dir, screen, disks, before })
    }

    fn play(&mut self) -> Result<()> {
        for (index, scene) in SCENES.iter().enumerate() {
            self.screen.line(Style::Note, "");
            self.screen.line(Style::Title, scene.title);
            let outcome = self.boot(index, scene)?;
            if let Some(failure) = outcome.failure {
                bail!("{}: {failure}\n{}\n{}", scene.title, outcome.failed, outcome.console);
            }
            if scene.sum {
                self.compare(index + 1)?;
            }
        }
        self.screen.line(Style::Note, "");
        self.screen.line(Style::Note, "Everything above was checked inside the guests by what their kernels report.");
        self.screen.line(Style::Note, "On a machine of yours: README.md, Install.");
        Ok(())
    }

    /// The checksum after so many boots.
    fn compare(&mut self, boots: usize) -> Result<()> {
        let [root, _] = &self.disks;
        self.screen.wait(SUMMING);
        let after = sum(&root.path)?;
        self.screen.waited();
        self.screen.line(Style::Note, "");
        if boots == SCENES.len() {
            self.screen.line(Style::Result, "And the disk?");
        }
        self.screen.line(Style::Note, "# On the host, before the first boot and now:");
        self.screen.line(Style::Output, &format!("  {}  root.img", self.before));
        self.screen.line(Style::Output, &format!("  {after}  root.img"));
        ensure!(after == self.before, "the system's disk changed");
        self.screen.line(Style::Result, &format!("The disk is unchanged after {boots} boots."));
        Ok(())
    }

    fn boot(&mut self, index: usize, scene: &Scene) -> Result<Outcome> {
        let dir = self.dir.join(format!("boot-{index}"));
        let machine = Machine::new(self.host, &dir)?;
        let boot = Boot {
            engine: self.engine,
            kernel: self.set.kernel(),
            initrd: self.set.initrd((CELL.initrd, Variant::Plain, self.engine)),
            cmdline: format!("root=LABEL=root ro fsck.mode=skip rd.skipfsck {}", scene.cmdline),
            disks: self.disks.to_vec(),
            holds: scene.holds.to_owned(),
            ..Boot::default()
        };
        self.screen.line(Style::Note, &format!("Booting with {}", scene.cmdline));
        let mut feed = Feed { start: Instant::now(), taken: 0, phase: "kernel and initramfs" };
        thread::scope(|scope| {
            let guest = scope.spawn(|| machine.boot(&boot));
            while !guest.is_finished() {
                feed.look(&dir, self.screen);
                self.screen.wait(&format!("  {} ... {} s", feed.phase, feed.start.elapsed().as_secs()));
                thread::sleep(POLL);
            }
            self.screen.waited();
            feed.look(&dir, self.screen);
            guest.join().unwrap_or_else(|_| Err(anyhow!("a boot panicked")))
        })
    }
}

/// What a guest says while it runs.
struct Feed {
    start: Instant,
    /// Lines that were shown.
    taken: usize,
    /// What is waited for.
    phase: &'static str,
}

impl Feed {
    fn look(&mut self, dir: &Path, screen: &mut Screen) {
        if self.taken == 0 && read(&dir.join("serial.log")).contains("initrd-switch-root") {
            self.phase = "system";
        }
        let said = read(&dir.join("channel"));
        // the last may not be whole yet
        let lines: Vec<_> = said.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::trim_end).collect();
        // a guest that is tried once more begins anew
        self.taken = if lines.len() < self.taken { 0 } else { self.taken };
        for line in lines.get(self.taken..).unwrap_or_default() {
            self.one(line, screen);
        }
        self.taken = lines.len();
    }

    fn one(&mut self, line: &str, screen: &mut Screen) {
        if let Some(shown) = line.strip_prefix("SHOW") {
            show(shown.strip_prefix(' ').unwrap_or(shown), screen);
        } else if line.starts_with("READY ") {
            self.phase = "commands";
            screen.line(Style::Note, &format!("Up after {:.1} s", self.start.elapsed().as_secs_f32()));
            screen.line(Style::Note, "");
        } else if line.starts_with("VERDICT ") {
            self.phase = "power off";
        }
    }
}

fn show(line: &str, screen: &mut Screen) {
    let Some(command) = line.strip_prefix("$ ") else {
        return screen.line(Style::Output, line);
    };
    if let Some(question) = command.strip_prefix("## ") {
        screen.line(Style::Note, "");
        screen.line(Style::Title, question);
    } else if command.starts_with("# ") {
        screen.line(Style::Note, command);
    } else {
        screen.line(Style::Command, line);
    }
}

/// sha256sum(1), which anybody can run as well.
fn sum(path: &Path) -> Result<String> {
    let out = host::run(Command::new("sha256sum").arg(path))?;
    let text = String::from_utf8_lossy(&out);
    Ok(text.split_ascii_whitespace().next().context("no checksum")?.to_owned())
}

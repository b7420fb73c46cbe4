// SPDX-License-Identifier: GPL-2.0-or-later
//! What a thawed boot does, and what a frozen one must not: kernels that would be lost, or come apart from their modules.

use crate::commands::doctor::findings;
use crate::commands::enable::initramfs::rebuild;
use crate::commands::reset::reboot;
use crate::output::exit::{Exit, refuse};
use crate::output::format::now;
use crate::state::bounded::end;
use crate::state::next::{self, Query};
use crate::state::thaw;
use anyhow::{Context, Result};
use overlayroot_core::feature::thaw::{Asked, SCHEMA, Thawed, Work};
use overlayroot_core::layout::paths;
use overlayroot_core::step::effective::RootKind;
use overlayroot_host::doctor::{Grade, worst};
use overlayroot_host::loader::place::{Place, judge};
use overlayroot_linux::source::recordfile;
use overlayroot_linux::sys::mounts;
use overlayroot_linux::sys::newfile::write_atomic;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Keeps all but root out while the root is updated (pam_nologin(8)).
const NOLOGIN: &str = "/run/nologin";
/// Between two looks whether a command has ended.
const LOOK: Duration = Duration::from_millis(200);

/// The system's own updater, for `/bin/sh`. What an earlier one has left half done comes first, and a file of the
/// administrator's stays as it is: there is no one to ask.
pub fn updater() -> Option<&'static str> {
    [
        (
            "/usr/bin/unattended-upgrade",
            "dpkg --configure -a && apt-get -o DPkg::Lock::Timeout=600 update && unattended-upgrade",
        ),
        (
            "/usr/bin/apt-get",
            "dpkg --configure -a && apt-get -o DPkg::Lock::Timeout=600 update && apt-get -y --with-new-pkgs \
             -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold upgrade",
        ),
        ("/usr/bin/dnf", "dnf -y upgrade"),
        ("/usr/bin/zypper", "zypper -n update"),
    ]
    .into_iter()
    .find(|(program, _)| Path::new(program).exists())
    .map(|(_, line)| line)
}

/// Does what this boot was thawed for, then reboots: the next one is frozen.
pub fn work() -> Result<Exit> {
    let Some(asked) = thaw::this_boot() else {
        return refuse("this boot is not thawed");
    };
    let started = Instant::now();
    let until = started + Duration::from_secs(asked.seconds);
    if asked.work == Work::Nothing {
        while Instant::now() < until {
            sleep(LOOK);
        }
        return leave();
    }
    // Neither is a reason to stay thawed.
    let mut done = begun(&asked);
    let told = write_atomic(NOLOGIN, "The system is being updated, and reboots then: overlayctl thaw --status\n");
    for error in [told, thaw::write_result(&done)].into_iter().filter_map(Result::err) {
        eprintln!("overlayctl: {error:#}");
    }
    carry_out(&asked, until, &mut done);
    let built = checked(&mut done);
    if let Err(error) = built {
        done.why.get_or_insert(format!("{error:#}"));
    }
    done.took_s = started.elapsed().as_secs();
    done.at = now();
    eprintln!("overlayctl: {done}");
    if let Err(error) = thaw::write_result(&done) {
        eprintln!("overlayctl: {error:#}");
    }
    leave()
}

/// Reboots, also where that is held back for a while (systemd-inhibit(1)); a timer ends the boot at last.
fn leave() -> Result<Exit> {
    for _ in 0..60 {
        match reboot() {
            Ok(()) => return Ok(Exit::Good),
            Err(error) => eprintln!("overlayctl: {error:#}"),
        }
        sleep(Duration::from_secs(10));
    }
    refuse("the reboot was refused; overlayroot-rs-thaw-end.timer ends this boot")
}

/// What is told where it never ends.
fn begun(asked: &Asked) -> Thawed {
    let line = match &asked.work {
        Work::Run(line) => line.as_str(),
        Work::Update => updater().unwrap_or_default(),
        Work::Nothing => "",
    };
    let (ran, why) = (line.to_owned(), Some("it did not end".to_owned()));
    Thawed { schema: SCHEMA, at: now(), ran, status: None, why, doctor: None, built: false, took_s: 0 }
}

fn carry_out(asked: &Asked, until: Instant, done: &mut Thawed) {
    if done.ran.is_empty() {
        done.why = Some("no updater was found".to_owned());
        return;
    }
    (done.status, done.why) = match shell(&done.ran, until) {
        Ok(Some(0)) => (Some(0), None),
        Ok(Some(code)) => (Some(code), Some(format!("exit status {code}"))),
        Ok(None) => (None, Some(format!("ended by a signal, or after {} s", asked.seconds))),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
}

/// Runs a command line to its end, or until the time is over; what it started ends with it. Its exit status.
fn shell(line: &str, until: Instant) -> Result<Option<i32>> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).stdin(Stdio::null()).process_group(0);
    // Nobody is there to answer (debconf(7)).
    let mut child = command.env("DEBIAN_FRONTEND", "noninteractive").spawn().context("running /bin/sh")?;
    loop {
        if let Some(status) = child.try_wait().context("waiting for the command")? {
            return Ok(status.code());
        }
        if Instant::now() >= until {
            end(&mut child);
            return Ok(None);
        }
        sleep(LOOK);
    }
}

/// Asks the doctor of the next boot, and builds the initramfs where the update has not.
fn checked(done: &mut Thawed) -> Result<()> {
    let look = || -> Result<(Grade, bool)> {
        let found = findings(&next::find(&Query { frozen: true, ..Query::HERE }))?;
        let lacks = found.iter().any(|finding| finding.check == "initramfs" && finding.grade == Grade::Problem);
        Ok((worst(&found), lacks))
    };
    let (mut grade, lacks) = look()?;
    if lacks {
        let kind = next::find(&Query { lightly: true, ..Query::HERE }).state.map(|state| state.kind);
        rebuild("/", kind.map_err(|why| anyhow::anyhow!("{why}"))?)?;
        done.built = true;
        grade = look()?.0;
    }
    done.doctor = Some(
        match grade {
            Grade::Ok | Grade::Note => "ok",
            Grade::Warning => "warnings",
            Grade::Problem => "problems",
        }
        .to_owned(),
    );
    Ok(())
}

/// Whether a kernel may be installed in what runs: refused where it would be lost at the next boot, or come apart from
/// its modules. In an upper that stays it is of no use at worst: an update that fails for that would fail for ever.
/// Started by the hooks of kernel-install(8) and of Debian's kernel packages.
pub fn kernel() -> Result<Exit> {
    const TODO: &str = "Update the root itself: overlayctl thaw --now-and-reboot, or overlayctl shell";
    let record = recordfile::read(paths::RECORD)?.filter(|record| record.effective.root == RootKind::Overlay);
    let Some(record) = record else { return Ok(Exit::Good) };
    let mounts = mounts::read()?;
    let in_overlay = |path: &str| judge(&mounts, path) == Place::Lost;
    let (boot, modules) = (in_overlay("/boot"), in_overlay("/usr/lib/modules"));
    match (record.effective.upper.is_in_ram(), boot, modules) {
        (true, true, _) => {
            refuse(&format!("no kernel can be installed in an upper in RAM: it would be lost at the next boot. {TODO}"))
        }
        (true, false, true) => refuse(&format!(
            "no kernel can be installed here: /boot is kept, and /usr/lib/modules is in an upper in RAM, so the next boot \
             would have the kernel without its modules. {TODO}"
        )),
        (false, true, _) => {
            eprintln!(
                "overlayctl: warning: /boot is in the overlay, and the boot loader reads that of the lower: this kernel \
                 is not booted. {TODO}"
            );
            Ok(Exit::Good)
        }
        (true | false, false, false) | (false, false, true) => Ok(Exit::Good),
    }
}

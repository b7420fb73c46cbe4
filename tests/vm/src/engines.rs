// SPDX-License-Identifier: GPL-2.0-or-later
//! Which engines this machine has: each is tried by a short boot before it is trusted, once a run.

use std::env;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::engine::Engine;
use crate::host::{self, Host, say};
use crate::machine;
use crate::qemu;
use crate::uml::Uml;

/// What QEMU runs a guest by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The processor itself.
    Kvm,
    /// Emulation: five times as slow, and more.
    Tcg,
}

/// What was found out.
#[derive(Clone, Debug, Default)]
pub struct Engines {
    kvm: OnceLock<Result<(), String>>,
    accel: OnceLock<Accel>,
    uml: OnceLock<Result<Uml, String>>,
}

/// A kernel that starts and finds no root needs two seconds by KVM.
const PATIENCE: Duration = Duration::from_secs(15);

impl Host {
    /// The user-mode Linux of this machine.
    ///
    /// # Errors
    /// Why there is none.
    pub fn uml(&self) -> Result<&Uml> {
        let found = self.engines.uml.get_or_init(|| Uml::find(self).map_err(|error| format!("{error:#}")));
        found.as_ref().map_err(|why| anyhow::anyhow!("{why}"))
    }

    /// What a guest that is to run by `wanted` runs by on this machine; says so where that is something else.
    ///
    /// # Errors
    /// Where it is something else and `CI=true`: then every guest runs by what it is meant to.
    pub fn engine(&self, wanted: Engine) -> Result<Engine> {
        if wanted == Engine::Qemu {
            return Ok(wanted);
        }
        let known = self.engines.uml.get().is_some();
        match self.uml() {
            Ok(_) => Ok(Engine::Uml),
            Err(why) if env::var_os("CI").is_some_and(|value| value == "true") => Err(why).context("user-mode Linux"),
            Err(why) => {
                if !known {
                    say(&format!("no user-mode Linux here, QEMU in its place: {why:#}"));
                }
                Ok(Engine::Qemu)
            }
        }
    }

    /// Whether QEMU can run a guest by KVM, tried with that kernel the first time.
    ///
    /// # Errors
    /// Why it can't.
    pub fn kvm(&self, kernel: &Path) -> Result<()> {
        let tried = self.engines.kvm.get_or_init(|| self.try_kvm(kernel).map_err(|error| format!("{error:#}")));
        tried.as_ref().copied().map_err(|why| anyhow::anyhow!("{why}"))
    }

    /// What QEMU runs by, tried with that kernel the first time.
    #[must_use]
    pub fn accel(&self, kernel: &Path) -> Accel {
        *self.engines.accel.get_or_init(|| match self.kvm(kernel) {
            Ok(()) => Accel::Kvm,
            Err(why) => {
                say(&format!("QEMU emulates: {why:#}"));
                Accel::Tcg
            }
        })
    }

    /// A kernel without a root ends in a panic: it gets there, or KVM does not work. Nested KVM hangs on many machines
    /// although /dev/kvm opens.
    fn try_kvm(&self, kernel: &Path) -> Result<()> {
        OpenOptions::new().read(true).write(true).open("/dev/kvm").context("/dev/kvm")?;
        let dir = self.work.join(format!("run-{}", std::process::id())).join("kvm");
        fs::create_dir_all(&dir)?;
        let log = dir.join("serial.log");
        let mut command = qemu::qemu(self, &dir, 256, Accel::Kvm, None);
        command.arg("-kernel").arg(kernel).args(["-append", "console=ttyS0 panic=-1"]);
        command.arg("-serial").arg(format!("file:{}", log.display()));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let start = Instant::now();
        while child.try_wait()?.is_none() && start.elapsed() < PATIENCE {
            sleep(Duration::from_millis(50));
        }
        // it may have ended by itself
        let _ = child.kill();
        child.wait()?;
        let said = machine::read(&log);
        fs::remove_dir_all(&dir)?;
        if !said.contains("Kernel panic") {
            let last = host::tail(&said, 1);
            let last = if last.trim().is_empty() { "nothing" } else { last.trim() };
            bail!("KVM is there and does not work: in {PATIENCE:?} a kernel said {last}");
        }
        Ok(())
    }
}

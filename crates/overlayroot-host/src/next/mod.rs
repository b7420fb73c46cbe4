// SPDX-License-Identifier: GPL-2.0-or-later
//! What the next boot does with the root: one answer for every verb that speaks of it. It hangs on the command line
//! that the boot loader hands over, on the configuration files, of which the initramfs has copies of its own, on
//! whether that initramfs has the module at all, and on the planner. What of these can't be known is said. Pure.

mod blemish;
mod sentence;

use crate::loader::raspi_hook;
use crate::settings;
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::keys;
use overlayroot_core::parse::cmdline::{Source, lex};
use overlayroot_core::plan::Decision;
use serde::Serialize;

/// Whether the initramfs has the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Module {
    /// It has.
    There,
    /// It has not, and so nothing of this project happens.
    Missing(String),
    /// Nobody knows, and why.
    NotKnown(String),
}

/// The initramfs's own copies of what the host has in `/etc`; they count, not the host's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// `/etc/overlayroot-rs.conf` and its drop-ins.
    pub conf: Vec<Source>,
    /// `/etc/cmdline.d/*.conf` and `/etc/cmdline`, which dracut reads before the kernel's command line.
    pub cmdline: Vec<Source>,
}

/// The initramfs that the next boot loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its path, where one was found.
    pub path: Option<String>,
    /// Whether the module is in it.
    pub module: Module,
    /// What it has copies of, where it can be read.
    pub own: Option<Own>,
    /// Others in it that make overlays, by name; the module stands them down.
    pub others: Vec<String>,
}

/// The next boot.
#[derive(Debug, Clone)]
pub struct NextBoot {
    /// The word for the boot loader's kind, where it is known.
    pub loader: Option<&'static str>,
    /// The command line, named by the file it stands in; or why it is not known.
    pub line: Result<Source, String>,
    /// The initramfs.
    pub image: Image,
    /// All texts that count. Where the line is not known, this boot's stands in its place.
    pub inputs: Inputs,
    /// What they ask for.
    pub config: Config,
    /// What the planner makes of it; `None` where the machine can't be looked at from here.
    pub decision: Option<Decision>,
    /// Whether it is this machine's, where the planner would have looked at the devices.
    pub live: bool,
}

/// What becomes of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The overlay that is asked for.
    Enabled,
    /// Something else than what is asked for.
    Degraded,
    /// The plain root.
    Disabled,
    /// Nobody knows.
    Unknown,
}

impl Verdict {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Degraded => "degraded",
            Self::Disabled => "disabled",
            Self::Unknown => "unknown",
        }
    }
}

/// Somebody who asks for an overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asker {
    /// The argument as written, without passwords.
    pub text: String,
    /// The file, with the line where it is a configuration file.
    pub source: String,
}

/// The next boot for scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The verdict's word.
    pub state: &'static str,
    /// The verdict in one line.
    pub text: String,
    /// What is not known, each with the reason.
    pub not_known: Vec<String>,
    /// The boot loader's kind.
    pub boot_loader: Option<&'static str>,
    /// The file that the command line stands in.
    pub source: Option<String>,
    /// Everybody who asks for an overlay.
    pub asked_by: Vec<Asker>,
    /// The initramfs.
    pub image: Option<String>,
    /// Whether the module is in it, where that is known.
    pub module: Option<bool>,
}

/// The texts that count: the copies of the initramfs go before the host's own files.
pub fn inputs(line: Source, image: &Image, conf: Vec<Source>, ubuntu: Vec<Source>) -> Inputs {
    let own = image.own.clone();
    let (conf, mut cmdline) = own.map_or((conf, Vec::new()), |own| (own.conf, own.cmdline));
    cmdline.push(line);
    Inputs { conf, cmdline, ubuntu }
}

impl NextBoot {
    /// What is not known, each with the reason.
    pub fn not_known(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Err(why) = &self.line {
            found.push(format!("the command line: {why}"));
        }
        match &self.image.module {
            Module::NotKnown(why) => {
                found.push(format!("whether the initramfs has overlayroot-rs: {why}"));
            }
            Module::Missing(_) if self.others_act() => {
                let others = self.image.others.join(", ");
                found.push(format!("what {others} in the initramfs does"));
            }
            Module::There | Module::Missing(_) => {}
        }
        if matches!(self.decision, Some(Decision::NotYet)) {
            found.push("the plan: the root's file system was not found".to_owned());
        }
        if self.live && self.decision.is_none() && self.config.asks_for_overlay() {
            found.push("the plan: the devices were not inspected; run it as root".to_owned());
        }
        found
    }

    /// Whether others in the initramfs hear a word that asks for an overlay, and ours is not there to stand them down.
    fn others_act(&self) -> bool {
        let raspi = lex(&self.inputs.cmdline).iter().any(|arg| arg.text() == "boot=overlay");
        !self.image.others.is_empty() && (raspi || !self.asked().is_empty())
    }

    /// The `root=` of the next boot and the file it stands in, where that is the overlay itself: what a program writes
    /// there that took the overlay for a device.
    pub fn lost_root(&self) -> Option<String> {
        let line = self.line.as_ref().ok()?;
        raspi_hook::lost_root(&line.text).map(|root| format!("{root} in {}", line.name))
    }

    /// What becomes of the root.
    pub fn verdict(&self) -> Verdict {
        if self.lost_root().is_some() {
            return Verdict::Degraded;
        }
        // Where the line is not known, neither is which image the next boot loads.
        if self.line.is_ok() && matches!(self.image.module, Module::Missing(_)) && !self.others_act() {
            return Verdict::Disabled;
        }
        if !self.not_known().is_empty() {
            return Verdict::Unknown;
        }
        match &self.decision {
            Some(Decision::Off) => Verdict::Disabled,
            Some(Decision::Do(_)) if self.blemish().is_some() => Verdict::Degraded,
            Some(Decision::Do(_)) => Verdict::Enabled,
            Some(Decision::Instead(..)) => Verdict::Degraded,
            Some(Decision::NotYet) => Verdict::Unknown,
            None if !self.config.asks_for_overlay() => Verdict::Disabled,
            None if self.blemish().is_some() => Verdict::Degraded,
            None => Verdict::Enabled,
        }
    }

    /// Everybody who asks for an overlay, whoever of them decides.
    pub fn asked(&self) -> Vec<Asker> {
        let settings = settings::settings(&self.inputs, &self.config);
        let upper = [keys::OVERLAY.name, keys::CRYPT.name];
        let said = settings.into_iter().filter(|setting| upper.contains(&setting.key)).flat_map(|setting| setting.said);
        let mut found: Vec<Asker> = Vec::new();
        // Alone it asks for nothing: it names the upper for another key.
        let names = |text: &str| text.split('=').next() == Some("rd.live.overlay");
        for said in said.filter(|said| !is_off(&said.text) && (said.decides || !names(&said.text))) {
            let asker = Asker { text: said.text, source: said.source };
            if !found.contains(&asker) {
                found.push(asker);
            }
        }
        // A mistake asks as well: it must not boot a writable root in silence.
        if self.config.misunderstood() {
            let issues = self.config.issues.iter();
            found.extend(issues.map(|issue| Asker {
                text: if issue.value.is_empty() { issue.key.clone() } else { format!("{}={}", issue.key, issue.value) },
                source: issue.source.clone(),
            }));
        }
        found
    }

    /// For scripts.
    pub fn told(&self) -> Told {
        Told {
            state: self.verdict().word(),
            text: self.says(),
            not_known: self.not_known(),
            boot_loader: self.loader,
            source: self.line.as_ref().ok().map(|line| line.name.clone()),
            asked_by: self.asked(),
            image: self.image.path.clone(),
            module: match self.image.module {
                Module::There => Some(true),
                Module::Missing(_) => Some(false),
                Module::NotKnown(_) => None,
            },
        }
    }
}

/// Ours with a value that is false, and Ubuntu's ways to ask for nothing.
fn is_off(text: &str) -> bool {
    match text.split_once('=') {
        Some((key, value)) if key == keys::UBUNTU => matches!(value, "" | "disabled"),
        Some((_, value)) => !keys::parse_bool(Some(value)),
        None => false,
    }
}

#[cfg(test)]
mod tests;

// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl watch`: looks at the upper's fill for as long as the system runs, and tells of each level.
//!
//! No kernel tells of a file system that fills up, so there is a timer, which follows the rate of growth; one
//! look is two system calls. A tmpfs has an event besides: the kernel tells of memory that gets scarce.

mod notify;
mod pressure;
mod top_growers;

use crate::output::exit::{Exit, refused};
use crate::state::fill::{Own, named, sentence};
use anyhow::Result;
use overlayroot_core::config::Config;
use overlayroot_core::config::thresholds::Thresholds;
use overlayroot_core::layout::paths;
use overlayroot_core::upper::resize::Resize;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_host::watch::levels::{FillLevel, Reading, Resource, is_loud, pause};
use overlayroot_host::watch::prometheus;
use overlayroot_linux::source::{self, recordfile};
use overlayroot_linux::sys::newfile;
use overlayroot_linux::tool::upperfill::{self, Upper};
use pressure::Pressure;
use std::fs::File;
use std::time::{Duration, Instant};
use top_growers::TopGrowers;

/// The file for Prometheus is written anew after this time, and at each change.
const EXPORT: Duration = Duration::from_secs(15);

/// What `overlayctl watch` is asked for.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// Clear what an earlier watch left (motd, targets), and exit
    #[arg(long)]
    clear: bool,
}

/// Watches until it is ended; returns at once where `/` is no overlay of this project.
pub fn run(asked: &Asked) -> Result<Exit> {
    let record = if asked.clear { None } else { recordfile::read(paths::RECORD)? };
    let upper = record.as_ref().map(upperfill::find).transpose()?.flatten();
    if upper.is_none() && !asked.clear {
        return Ok(Exit::Good);
    }
    // Two would take back what the other has told.
    let _held = lock()?;
    notify::clear();
    let Some(upper) = upper else {
        return Ok(Exit::Good);
    };
    let config = Config::read(&source::read(Some("/")));
    for issue in config.issues.iter().filter(|issue| issue.key.starts_with("rd.overlay.watch")) {
        eprintln!("overlayctl: {issue}");
    }
    let mut watch = Watch {
        growers: TopGrowers::begin(&upper.directory),
        upper,
        marks: config.thresholds(),
        textfile: config.watch_textfile.value.clone(),
        level: FillLevel::Fine,
        told: None,
        exported: None,
        failed: false,
    };
    let mut pressure = Pressure::open(watch.upper.mount.fstype == "tmpfs");
    let mut before: Option<(u64, Instant)> = None;
    loop {
        let share = watch.look()?;
        let now = Instant::now();
        let earlier = before.map(|(share, at)| (share, now.duration_since(at)));
        before = Some((share, now));
        pressure.wait(pause(watch.marks, share, earlier));
    }
}

fn lock() -> Result<File> {
    newfile::lock(paths::WATCH_LOCK)?.ok_or_else(|| refused("another overlayctl watch is running"))
}

struct Watch {
    upper: Upper,
    marks: Thresholds,
    textfile: Option<String>,
    growers: TopGrowers,
    level: FillLevel,
    /// What terminals were told last, and when.
    told: Option<(FillLevel, Instant)>,
    exported: Option<Instant>,
    failed: bool,
}

impl Watch {
    /// One look. Gives back the share of the scarcest resource, in hundredths of a percent.
    fn look(&mut self) -> Result<u64> {
        let reading = upperfill::now(&self.upper)?;
        let (_, share) = reading.worst();
        let next = self.level.next(self.marks, share / 100);
        if next != self.level {
            self.change(next, &reading);
        }
        self.export(&reading);
        Ok(share)
    }

    /// Targets first: what hangs on them may make room. Who grew is looked up then.
    fn change(&mut self, next: FillLevel, reading: &Reading) {
        let before = std::mem::replace(&mut self.level, next);
        self.exported = None;
        notify::targets(before, next);
        let (resource, share) = reading.worst();
        let found = match next {
            FillLevel::Fine => None,
            FillLevel::Warning | FillLevel::Critical => Some(self.growers.find(&self.upper.directory, resource)),
        };
        let own = found.as_ref().and_then(|found| found.own);
        let mut text = self.text(reading, own);
        // Whatever grew in the upper, it is not what fills a file system that it has so little of.
        let found = found.filter(|_| !own.is_some_and(|own| own.is_little(reading, resource)));
        if let Some(found) = &found {
            text.push_str(&found.to_string());
        }
        let hint = self.hint(resource, reading);
        let fine = next == FillLevel::Fine;
        let message = if fine { format!("space is available again: {text}") } else { text.clone() };
        let mut fields = vec![
            ("MESSAGE", message),
            ("OVERLAY_LEVEL", next.word().to_owned()),
            ("OVERLAY_LEVEL_BEFORE", before.word().to_owned()),
            ("OVERLAY_RESOURCE", resource.word().to_owned()),
            ("OVERLAY_PERCENT", (share / 100).to_string()),
            ("OVERLAY_USED", reading.used.to_string()),
            ("OVERLAY_AVAILABLE", reading.available.to_string()),
            ("OVERLAY_INODES", reading.inodes.to_string()),
            ("OVERLAY_INODES_USED", reading.inodes_used.to_string()),
            ("OVERLAY_UPPER", self.place()),
        ];
        fields.extend(own.map(|own| ("OVERLAY_OWN", format!("{} {}", own.bytes, own.inodes))));
        if let Some(outer) = reading.outer {
            fields.push(("OVERLAY_FILESYSTEM_USED", outer.used.to_string()));
            fields.push(("OVERLAY_FILESYSTEM_AVAILABLE", outer.available.to_string()));
        }
        for one in found.iter().flat_map(|found| &found.list) {
            fields.push(("OVERLAY_GREW", format!("{} {} {}", one.by.bytes, one.by.inodes, escape(&one.directory))));
        }
        notify::journal(next, &fields);
        crate::output::motd::set(
            paths::MOTD,
            (!fine).then(|| format!("{}: {text}.\n{hint}\n", next.word())).as_deref(),
        );
        if is_loud(next, self.told.map(|(level, at)| (level, at.elapsed()))) {
            self.told = Some((next, Instant::now()));
            notify::wall(&format!("{}: {text}\n{hint}", next.word()));
        }
    }

    fn text(&self, reading: &Reading, own: Option<Own>) -> String {
        let mount = &self.upper.mount;
        sentence(reading, &mount.fstype, &mount.source, own)
    }

    fn place(&self) -> String {
        let mount = &self.upper.mount;
        escape(&format!("{} {} on {}", mount.fstype, mount.source, mount.at))
    }

    /// What to do: where the upper can grow, or where else room is to be made.
    fn hint(&self, resource: Resource, reading: &Reading) -> String {
        let mount = &self.upper.mount;
        let grows = match self.upper.kind.resize(&mount.fstype, &mount.source) {
            Resize::Remount | Resize::GrowFile => true,
            Resize::SetQuota => resource == Resource::Bytes && reading.outer.is_some(),
            Resize::Refused(_) => false,
        };
        match grows {
            true => "See: overlayctl status. To grow it: overlayctl resize SIZE".to_owned(),
            false => format!("See: overlayctl status. Free space on {}", named(&mount.fstype, &mount.source)),
        }
    }

    fn export(&mut self, reading: &Reading) {
        let Some(path) = &self.textfile else {
            return;
        };
        if self.exported.is_some_and(|at| at.elapsed() < EXPORT) {
            return;
        }
        self.exported = Some(Instant::now());
        let text = prometheus::text(reading, self.level, self.marks, &self.upper.mount.fstype);
        match newfile::write_atomic(path, &text) {
            Ok(()) => self.failed = false,
            // Once, not every 15 s.
            Err(error) if !std::mem::replace(&mut self.failed, true) => eprintln!("overlayctl: {error:#}"),
            Err(_) => {}
        }
    }
}

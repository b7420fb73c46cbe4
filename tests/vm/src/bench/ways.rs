// SPDX-License-Identifier: GPL-2.0-or-later
//! The ways to a root that are compared: what each boots from and with.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::tools;
use crate::case::RootKind;
use crate::cell::{Cell, Initrd, Suite, Variant};
use crate::engine::Engine;
use crate::plan::Need;

pub(super) const SUITE: Suite = Suite::Trixie;

/// A way to the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// No overlay, and no module for one in the image.
    Plain,
    /// This project, with the upper in RAM.
    Ours,
    /// Nothing but the nine calls, from the same unit or hook.
    Calls,
    /// `systemd.volatile=overlay`.
    Volatile,
    /// dracut's own module, on a root without this project.
    Stock,
}

impl Way {
    /// Those that there are in such an initrd. systemd.volatile= needs systemd; dracut 106's own module over a disk
    /// leaves a shell initrd without an init ("Cannot find init!").
    pub(super) fn all(initrd: Initrd) -> &'static [Self] {
        match initrd {
            Initrd::Systemd => &[Self::Plain, Self::Ours, Self::Calls, Self::Volatile, Self::Stock],
            Initrd::Shell => &[Self::Plain, Self::Ours, Self::Calls],
        }
    }

    /// As in the tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "no overlay",
            Self::Ours => "`rd.overlay`",
            Self::Calls => "the nine calls alone",
            Self::Volatile => "`systemd.volatile=overlay`",
            Self::Stock => "dracut's own module",
        }
    }

    /// For file names.
    pub(super) fn slug(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Ours => "ours",
            Self::Calls => "calls",
            Self::Volatile => "volatile",
            Self::Stock => "stock",
        }
    }

    pub(super) fn variant(self) -> Variant {
        match self {
            Self::Ours => Variant::Plain,
            Self::Plain | Self::Calls | Self::Volatile => Variant::Bare,
            Self::Stock => Variant::Stockonly,
        }
    }

    pub(super) fn cmdline(self) -> &'static str {
        match self {
            Self::Plain | Self::Calls => "",
            Self::Ours => "rd.overlay",
            Self::Volatile => "systemd.volatile=overlay",
            Self::Stock => "rd.live.overlay.overlayfs=1",
        }
    }

    /// That the root is what the table says, and what is read of the boot.
    pub(super) fn holds(self) -> String {
        let (root, more) = match self {
            Self::Plain => ("plain_root", LOAD),
            Self::Ours => ("overlay_root\nrecord .outcome applied", "+ cat /run/overlayroot/state.json"),
            Self::Calls => (OVERLAY, "+ cat /run/vm-calls"),
            Self::Volatile | Self::Stock => (OVERLAY, ""),
        };
        format!("{root}\n+ cat /run/vm-watch\n{more}\n")
    }

    pub(super) fn need(self, initrd: Initrd) -> Need {
        (Cell { suite: SUITE, initrd }, self.variant(), RootKind::Ext4, Engine::Uml)
    }

    /// What is put behind the image: the watcher, and the calls where they are all that acts.
    ///
    /// # Errors
    /// Where the programs are not built, or the unit is not as it was.
    pub(super) fn files(self, repo: &Path, initrd: Initrd) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::from([("/usr/bin/vm-watch".to_owned(), tools::program("vm-watch")?)]);
        // it would wait for an overlay for as long as the system runs
        let watch = if self == Self::Plain { "/usr/bin/vm-watch root" } else { "/usr/bin/vm-watch" };
        match initrd {
            Initrd::Systemd => {
                let unit = format!(
                    "[Unit]\nDefaultDependencies=no\nBefore=sysroot.mount initrd-root-fs.target\n\
                     [Service]\nExecStart={watch}\n"
                );
                add_unit(&mut files, "vm-watch.service", &unit, "sysinit.target");
            }
            Initrd::Shell => {
                files.insert(format!("{HOOKS}/cmdline/01-vm-watch.sh"), format!("{watch} &\n").into());
            }
        }
        if self != Self::Calls {
            return Ok(files);
        }
        files.insert("/usr/bin/vm-calls".to_owned(), tools::program("vm-calls")?);
        match initrd {
            Initrd::Systemd => {
                let path = repo.join("systemd-units/initrd/overlayroot-rs.service");
                let ours = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                add_unit(&mut files, "vm-calls.service", &calls_unit(&ours)?, "initrd-root-fs.target");
            }
            Initrd::Shell => {
                files.insert(format!("{HOOKS}/pre-pivot/05-vm-calls.sh"), "/usr/bin/vm-calls\n".into());
            }
        }
        Ok(files)
    }
}

/// Nobody uses it here; it may have been loaded by somebody who asked what there is.
const LOAD: &str =
    "+ modprobe -qr overlay; a=$(date +%s%N); modprobe overlay; echo \"load $((($(date +%s%N) - a) / 1000))\"";
const OVERLAY: &str = "[ \"$(mount_of / | cut -d ' ' -f 1)\" = overlay ] && is_rw /";
const HOOKS: &str = "/var/lib/dracut/hooks";

/// This project's unit with the calls in the place of its program.
fn calls_unit(ours: &str) -> Result<String> {
    let lines = ours.lines().map(|line| match line.strip_prefix("ExecStart=") {
        Some(_) => "ExecStart=/usr/bin/vm-calls",
        None => line,
    });
    let unit = lines.fold(String::new(), |text, line| text + line + "\n");
    ensure!(unit.matches("ExecStart=/usr/bin/vm-calls\n").count() == 1, "the unit has not one ExecStart=:\n{ours}");
    Ok(unit)
}

fn add_unit(files: &mut BTreeMap<String, Vec<u8>>, name: &str, unit: &str, wanted_by: &str) {
    files.insert(format!("/etc/systemd/system/{name}"), unit.into());
    let wants = format!("[Unit]\nWants={name}\n");
    files.insert(format!("/etc/systemd/system/{wanted_by}.d/{name}.conf"), wants.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_are_started_as_this_project_is() {
        let repo = crate::host::find_repo().unwrap();
        let ours = fs::read_to_string(repo.join("systemd-units/initrd/overlayroot-rs.service")).unwrap();
        let unit = calls_unit(&ours).unwrap();
        let differ: Vec<_> = ours.lines().zip(unit.lines()).filter(|(left, right)| left != right).collect();
        assert_eq!(differ, [("ExecStart=/usr/bin/overlay-assemble --by unit", "ExecStart=/usr/bin/vm-calls")]);
        assert_eq!(ours.lines().count(), unit.lines().count());
        assert!(calls_unit("[Service]\n").is_err());
    }

    #[test]
    fn what_is_compared_differs_in_nothing_else() {
        for initrd in Initrd::ALL {
            let ways = Way::all(initrd);
            assert!(ways.contains(&Way::Plain) && ways.contains(&Way::Ours) && ways.contains(&Way::Calls));
            let others = ways.iter().filter(|way| **way != Way::Ours && **way != Way::Stock);
            assert!(others.into_iter().all(|way| way.variant() == Variant::Bare));
        }
        assert!(Way::Plain.holds().starts_with("plain_root\n") && Way::Ours.holds().contains("state.json"));
        for way in [Way::Calls, Way::Volatile, Way::Stock] {
            assert!(way.holds().contains("= overlay"), "{way:?}");
        }
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a path is kept: beside the upper, or on a device that is named for it.

use super::Builder;
use crate::facts::{Device, Lookup};
use crate::grammar;
use crate::path_spec::Asked;
use crate::path_step::PathStep;
use crate::paths;
use crate::refusal::{self, Refusal, refuse};

/// Where something is kept.
pub(super) struct Keeper {
    /// Directory of what is kept.
    pub directory: String,
    /// Mount that must be there.
    pub mount: String,
    /// Its device, where it is not beside the upper.
    pub device: Option<String>,
}

impl Builder<'_> {
    /// The upper's own file system, where it stays. At its private place: PID 1 unmounts the other at the shutdown,
    /// perhaps before the last files are saved.
    pub(super) fn own(&self) -> Option<Keeper> {
        let effective = &self.plan.effective;
        let (store, mount) = (effective.store.as_ref()?, effective.store_fs()?);
        Some(Keeper { directory: store.keep(), mount: mount.to_owned(), device: None })
    }

    pub(super) fn keeper(&mut self, asked: &Asked) -> Result<Keeper, Refusal> {
        let Some(dev) = asked.params.dev.as_ref().or(self.config.path_dev.value.as_ref()) else {
            return match self.own() {
                Some(own) => Ok(own),
                None => {
                    let (path, key) = (&asked.path, grammar::PATH_DEV.name);
                    let text = format!("nowhere to keep {path}: the upper is in RAM; name a device by dev= or {key}=");
                    refuse("path-store", text)
                }
            };
        };
        let lookup = self.facts.stores.get(&dev.to_string());
        let upper = self.plan.effective.device.as_deref();
        if let (Some(Lookup::Found(device)), Some(own)) = (lookup, self.own()) {
            if Some(device.path.as_str()) == upper {
                return Ok(own);
            }
        }
        let device = refusal::found(dev, lookup)?;
        if device.read_only {
            return refuse("device-read-only", format!("{dev} ({}) refuses writes", device.path));
        }
        Ok(self.open(device))
    }

    fn open(&mut self, device: &Device) -> Keeper {
        let opened = |step: &PathStep| match step {
            PathStep::OpenDevice { device: open, at, .. } if *open == device.path => Some(at.clone()),
            _ => None,
        };
        let mount = self.before.iter().find_map(opened).unwrap_or_else(|| {
            let count = self.before.iter().filter(|step| matches!(step, PathStep::OpenDevice { .. })).count();
            let at = format!("{}/{count}", paths::KEEP);
            let (path, fstype) = (device.path.clone(), device.fstype.clone());
            self.before.push(PathStep::OpenDevice { device: path, fstype, at: at.clone() });
            at
        });
        let directory = format!("{mount}/{}/{}", paths::META_DIR, paths::KEEP_DIR);
        Keeper { directory, mount, device: Some(device.path.clone()) }
    }
}

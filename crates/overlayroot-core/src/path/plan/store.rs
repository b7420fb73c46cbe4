// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a path is kept: beside the upper, or on a device that is named for it.

use super::Builder;
use crate::facts::device::{Device, Lookup};
use crate::facts::file_system::Alike;
use crate::keys;
use crate::layout::paths;
use crate::path::Asked;
use crate::step::path::PathStep;
use crate::step::refusal::{self, Refusal, refuse};

/// Where something is kept.
pub(crate) struct Keeper {
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
        let effective = self.effective;
        let (store, mount) = (effective.store.as_ref()?, effective.store_fs()?);
        Some(Keeper { directory: store.keep(), mount: mount.to_owned(), device: None })
    }

    pub(crate) fn keeper(&mut self, asked: &Asked) -> Result<Keeper, Refusal> {
        let Some(dev) = asked.params.dev.as_ref().or(self.dev) else {
            return match self.own() {
                Some(own) => Ok(own),
                None => {
                    let (path, key) = (&asked.path, keys::PATH_DEV.name);
                    let text = format!("nowhere to keep {path}: the upper is in RAM; name a device by dev= or {key}=");
                    refuse("path-store", text)
                }
            };
        };
        let lookup = self.facts.stores.get(&dev.to_string());
        if let (Some(Lookup::Found(device)), Some(own)) = (lookup, self.own()) {
            if self.is_uppers(device) {
                return Ok(own);
            }
        }
        let device = refusal::found(dev, lookup, self.facts)?;
        if let Some(other) = self.copy(device) {
            let text =
                format!("{dev} ({}) has the UUID of {other}: it is the same by another name, or a copy", device.path);
            return refuse("device-in-use", text);
        }
        if device.read_only {
            return refuse("device-read-only", format!("{dev} ({}) refuses writes", device.path));
        }
        Ok(self.open(device))
    }

    /// Whether the upper of this plan lies on it.
    fn is_uppers(&self, device: &Device) -> bool {
        let Some(upper) = &self.effective.device else {
            return false;
        };
        let found = self.facts.device.as_ref().and_then(Lookup::found).filter(|found| found.path == *upper);
        found.map_or(*upper == device.path, |found| one(found, device))
    }

    /// Another device of this plan with the same UUID: not both may be mounted.
    fn copy(&self, device: &Device) -> Option<&str> {
        let all = self.facts.stores.values().chain(&self.facts.device);
        let mut found = all.filter_map(Lookup::found);
        let this = device.file_system();
        found.find(|other| other.file_system().alike(&this) == Some(Alike::Uuid)).map(|other| other.path.as_str())
    }

    fn open(&mut self, device: &Device) -> Keeper {
        // Asked for by another name, or as another device of a btrfs.
        let found = self.facts.stores.values().filter_map(Lookup::found);
        let same = found.filter(|found| one(found, device)).map(|found| found.path.as_str());
        let same: Vec<&str> = same.collect();
        let opened = |step: &PathStep| {
            let PathStep::OpenDevice { device: open, at, .. } = step else { return None };
            same.contains(&open.as_str()).then(|| at.clone())
        };
        let mount = self.plan.layers.iter().find_map(opened).unwrap_or_else(|| {
            let count = self.plan.layers.iter().filter(|step| matches!(step, PathStep::OpenDevice { .. })).count();
            let at = format!("{}/{count}", paths::KEEP);
            let (path, fstype) = (device.path.clone(), device.fstype.clone());
            self.plan.layers.push(PathStep::OpenDevice { device: path, fstype, at: at.clone() });
            at
        });
        let directory = format!("{mount}/{}/{}", paths::META_DIR, paths::KEEP_DIR);
        Keeper { directory, mount, device: Some(device.path.clone()) }
    }
}

fn one(a: &Device, b: &Device) -> bool {
    a.path == b.path || a.file_system().is(&b.file_system())
}

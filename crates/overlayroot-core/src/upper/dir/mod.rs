// SPDX-License-Identifier: GPL-2.0-or-later
//! `dir:PATH`: an upper in a directory of the root's own file system.

pub mod resize;

use crate::facts::place::PlaceKind;
use crate::facts::wanted::Wanted;
use crate::facts::{Facts, ProjectQuota, Root};
use crate::layout::{self, Store, paths};
use crate::step::effective::{Effective, UpperKind};
use crate::step::refusal::{Refusal, refuse};
use crate::step::{Need, Quota, Step};
use crate::upper::kept;
use crate::upper::needs::Needs;
use crate::upper::request::{Request, UpperPlan};
use crate::upper::resize::Resize;
use crate::upper::root_fs::{open_root, place};
use crate::value::diagnostics::Problem;
use crate::value::params::{size, split, unknown};
use crate::value::path::on_root;
use crate::value::size::{LEAST, Size, mebi};
use std::fmt;

/// `dir:PATH[,size=SIZE]`: a directory on the root's own file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dir {
    /// Absolute path in the root.
    pub path: String,
    /// Project quota.
    pub size: Option<Size>,
}

impl fmt::Display for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        self.size.map_or(Ok(()), |size| write!(f, ",size={size}"))
    }
}

impl Dir {
    /// Of an initramfs: what a quota takes.
    pub(super) fn needs(&self, facts: Option<&Facts>) -> Needs {
        let root = facts.and_then(|facts| facts.root.as_ref()).map_or("", |root| root.fstype.as_str());
        let quota = (self.size.is_some() && root == "ext4").then(|| "quota_v2".to_owned());
        Needs { modules: quota.into_iter().collect(), ..Needs::default() }
    }
}

/// How one in use gets another size.
pub(super) const RESIZE: Resize = Resize::SetQuota;

/// What stands behind `dir:`.
pub fn parse_dir(text: &str) -> Result<Dir, Problem> {
    let (path, params) = split(text)?;
    on_root(&path)?;
    let mut dir = Dir { path, size: None };
    for (key, value) in params {
        match key {
            "size" => dir.size = Some(size(key, value)?),
            _ => return Err(unknown(key, &["size"])),
        }
    }
    Ok(dir)
}

/// What its plan depends on. Without a size, a quota that is in force is taken off.
pub(super) const WANTED: Wanted = Wanted { room: true, project_quota: true, ..kept::WANTED };

/// A directory upper.
///
/// # Errors
/// Where the root's file system can't hold it, or has no quota for its size.
pub fn plan(request: Request<'_>, facts: &Facts, root: &Root, asked: &Dir) -> Result<UpperPlan, Refusal> {
    let place = place(facts, root, &asked.path)?;
    if !matches!(place.kind, PlaceKind::Missing | PlaceKind::Directory) {
        return refuse("place-taken", format!("{} is {}, not a directory", asked.path, place.kind.word()));
    }
    let places = layout::directory(&asked.path, request.name);
    let cap = cap(root, asked, &places.store)?;
    if request.readonly {
        // overlayfs takes no layer that lies inside another (kernel: fs/overlayfs/super.c, overlapping layers).
        let text = format!("rd.overlay.readonly can't use {} as a layer: it lies inside the lower", asked.path);
        return refuse("readonly", text);
    }
    let mut open = open_root(false);
    let (base, need) = (paths::ROOT_KEPT.to_owned(), Need::of(false, request.reset));
    open.push(Step::LookInside { store: places.store.clone(), base, need });
    let effective = Effective {
        upper: UpperKind::Dir,
        path: Some(asked.path.clone()),
        options: root.fstype.clone(),
        ..Effective::overlay(&places)
    };
    let mut plan = kept::plan(request, facts, root, places, open, effective);
    plan.make.extend(cap);
    plan.hidden = Some(asked.path.clone());
    Ok(plan)
}

/// The limit of a directory upper. Without `size=` a limit that an earlier boot set is taken off, where one
/// would be in force.
fn cap(root: &Root, asked: &Dir, store: &Store) -> Result<Option<Step>, Refusal> {
    let bytes = match asked.size {
        None if root.project_quota == ProjectQuota::On => 0,
        None => return Ok(None),
        Some(_) if root.project_quota == ProjectQuota::None => return refuse("quota", no_quota(root, asked)),
        Some(size) => size.of(root.bytes),
    };
    if let Some(size) = asked.size.filter(|_| bytes < LEAST) {
        let text = format!("size={size} for {} is {} of the root, less than {}", asked.path, mebi(bytes), mebi(LEAST));
        return refuse("quota", text);
    }
    Ok(Some(Step::Quota(Quota {
        at: paths::ROOT_KEPT.to_owned(),
        device: root.source.clone(),
        upper: store.upper.clone(),
        work: store.work.clone(),
        bytes,
        // Also where they seem to be on: an earlier call may have remounted it, the next boot will not have.
        remount: asked.size.is_some() && root.fstype == "ext4",
    })))
}

/// Why there is no limit, and what to do.
fn no_quota(root: &Root, asked: &Dir) -> String {
    let what = format!("size= for {} needs project quotas", asked.path);
    match root.fstype.as_str() {
        "xfs" => format!("{what}: add rootflags=prjquota to the kernel command line"),
        "ext4" => {
            format!("{what}: run tune2fs -O project,quota {} while it is unmounted", root.source)
        }
        other => format!("{what}, and on {other} this version has none: use loop:FILE with size= instead"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::size::human;

    #[test]
    fn percentages_and_units() {
        assert_eq!(Size::Percent(25).of(10 << 30), 2560 << 20);
        assert_eq!((human(8 << 30), human(1536 << 20), human(5)), ("8G".into(), "1536M".into(), "5".into()));
        assert!(parse_dir("/d,fs=ext4").is_err());
    }
}

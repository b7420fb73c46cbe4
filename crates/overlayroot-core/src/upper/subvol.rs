// SPDX-License-Identifier: GPL-2.0-or-later
//! `subvol:NAME`: an upper in a subvolume of the root's own btrfs. The top level of the file system is
//! mounted at a private place; the lower is a read-only view of the root's own subvolume.

use crate::facts::place::PlaceKind;
use crate::facts::wanted::Wanted;
use crate::facts::{Facts, Root};
use crate::layout::{self, paths};
use crate::step::effective::{Effective, UpperKind};
use crate::step::refusal::{Refusal, refuse};
use crate::step::{Need, Step};
use crate::upper::kept;
use crate::upper::request::{Request, UpperPlan};
use crate::upper::resize::Resize;
use crate::value::diagnostics::{Problem, escape};
use crate::value::path::plain_path;
use std::fmt;

/// `subvol:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subvol {
    /// Path from the top level of the file system on, without a slash in front.
    pub name: String,
}

impl fmt::Display for Subvol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What stands behind `subvol:`. A slash in front is taken, as btrfs's own `subvol=` takes it.
///
/// # Errors
/// No name, parameters, and what is no plain path.
pub fn parse_subvol(text: &str) -> Result<Subvol, Problem> {
    let (name, params) = text.split_once(',').map_or((text, None), |(name, params)| (name, Some(params)));
    if let Some(params) = params {
        let text = format!("'{}': a subvolume takes no parameters; loop:FILE has a size", escape(params));
        return Err(Problem::new(text, None));
    }
    let name = name.trim_matches('/');
    if name.is_empty() {
        return Err(Problem::new("subvol: without a name", None));
    }
    let path = plain_path(&format!("/{name}"))?;
    Ok(Subvol { name: path.trim_start_matches('/').to_owned() })
}

/// Where a root sees another subvolume of its file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// At this path.
    At(String),
    /// Nowhere: they lie beside each other.
    Nowhere,
    /// The root is that subvolume, or lies in it: a reset would take the root away with the upper.
    AroundRoot,
}

/// Where a root that is the subvolume `root` sees the subvolume `name`.
pub fn seen(root: &str, name: &str) -> Seen {
    let own = root.trim_matches('/');
    let below = |path: &str, top: &str| path.strip_prefix(top).filter(|rest| rest.starts_with('/')).map(str::to_owned);
    if own.is_empty() {
        return Seen::At(format!("/{name}"));
    }
    if own == name || below(own, name).is_some() {
        return Seen::AroundRoot;
    }
    below(name, own).map_or(Seen::Nowhere, Seen::At)
}

/// The path by which the lower, the subvolume `root`, sees the upper's.
pub(super) fn hidden_path(root: &str, name: &str) -> Option<String> {
    match seen(root, name) {
        Seen::At(path) => Some(path),
        Seen::Nowhere | Seen::AroundRoot => None,
    }
}

/// How one in use gets another size.
pub(super) fn resize() -> Resize {
    let text = "the subvolume has the room of the root's whole btrfs: make room there, or add a device to it (btrfs \
                device add)";
    Resize::Refused(text.to_owned())
}

/// What its plan depends on.
pub(super) const WANTED: Wanted = kept::WANTED;

/// An upper in a subvolume.
///
/// # Errors
/// Where the root is no btrfs, or has something else of that name.
pub fn plan(request: Request<'_>, facts: &Facts, root: &Root, asked: &Subvol) -> Result<UpperPlan, Refusal> {
    let name = &asked.name;
    let seen = usable(facts, root, asked)?;
    if request.readonly {
        readable(facts, name, seen.as_deref())?;
    }
    let places = layout::subvolume(name, request.name);
    let (at, base) = (paths::ROOT_KEPT.to_owned(), paths::ROOT_KEPT.to_owned());
    let need = Need::of(request.readonly, request.resets());
    let mut open = vec![Step::MountTop { device: root.source.clone(), at: at.clone(), read_only: request.readonly }];
    if !request.readonly {
        open.push(Step::Writable { at });
    }
    open.push(Step::LookInside { store: places.store.clone(), base, need });
    if !request.readonly {
        open.push(Step::MakeSubvolume { path: format!("{}/{name}", paths::ROOT_KEPT) });
    }
    let effective = Effective {
        upper: UpperKind::Subvol,
        path: Some(name.clone()),
        options: root.fstype.clone(),
        ..Effective::overlay(&places)
    };
    let hidden = seen.filter(|_| !request.readonly);
    Ok(UpperPlan { hidden, ..kept::plan(request, facts, root, places, open, effective) })
}

/// Where the root sees it, if the file system can hold it and nothing is in its way.
fn usable(facts: &Facts, root: &Root, asked: &Subvol) -> Result<Option<String>, Refusal> {
    let name = &asked.name;
    if root.fstype != "btrfs" {
        let text = format!("the root is {}, and subvol:{name} needs btrfs: dir: does the same elsewhere", root.fstype);
        return refuse("foreign-file-system", text);
    }
    let seen = match seen(&root.subvolume, name) {
        Seen::At(path) => Some(path),
        Seen::Nowhere => None,
        Seen::AroundRoot => {
            let own = root.subvolume.trim_matches('/');
            return refuse("place-taken", format!("the root itself lies in the subvolume {name} (it is {own})"));
        }
    };
    // Where the top level can't be looked at, the steps find out.
    let Some(place) = &facts.place else {
        return Ok(seen);
    };
    if let Some(part) = &place.blocked_by {
        let part = part.trim_start_matches('/');
        return refuse("place-taken", format!("{part} on the way to the subvolume {name} is not a plain directory"));
    }
    match place.kind {
        PlaceKind::Missing | PlaceKind::Subvolume => Ok(seen),
        other @ (PlaceKind::Directory | PlaceKind::File | PlaceKind::Link | PlaceKind::Other) => {
            refuse("place-taken", format!("{name} is {}, not a subvolume", other.word()))
        }
    }
}

/// Whether it can be a read-only layer.
fn readable(facts: &Facts, name: &str, seen: Option<&str>) -> Result<(), Refusal> {
    if let Some(path) = seen {
        // overlayfs takes no layer that lies inside another (kernel: fs/overlayfs/super.c, overlapping layers).
        let text = format!("rd.overlay.readonly can't use {path} as a layer: it lies inside the lower");
        return refuse("readonly", text);
    }
    match &facts.place {
        Some(place) if place.kind == PlaceKind::Missing => {
            refuse("place-missing", format!("the subvolume {name} does not exist, and nothing may be written"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, name) in [("overlay", "overlay"), ("/vm//upper/", "vm/upper"), ("@over lay", "@over lay")] {
            assert_eq!(parse_subvol(text).map(|subvol| subvol.name), Ok(name.to_owned()));
        }
        for bad in ["", "/", "..", "a/../b", "./a", "a:b", "a\\b", "a\nb", "a'b", "overlay,size=8G", "a,"] {
            assert!(parse_subvol(bad).is_err(), "{bad}");
        }
        let problem = parse_subvol("overlay,size=8G").unwrap_err();
        assert!(problem.text.contains("size=8G"), "{problem}");
    }

    #[test]
    fn where_the_root_sees_it() {
        assert_eq!(seen("/", "overlay"), Seen::At("/overlay".into()));
        assert_eq!(seen("/root", "overlay"), Seen::Nowhere);
        assert_eq!(seen("/root", "rootlet"), Seen::Nowhere);
        assert_eq!(seen("/root", "root/var/upper"), Seen::At("/var/upper".into()));
        assert_eq!(seen("/root", "root"), Seen::AroundRoot);
        assert_eq!(seen("/@/.snapshots/1/snapshot", "@"), Seen::AroundRoot);
        assert_eq!(seen("/@/.snapshots/1/snapshot", "@/upper"), Seen::Nowhere);
    }
}

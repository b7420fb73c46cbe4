// SPDX-License-Identifier: GPL-2.0-or-later
//! What is to be done for the policies of single paths. What goes into the layers goes there before the overlay is
//! mounted; what is mounted over the merged root comes last.

mod store;

use crate::facts::Facts;
use crate::facts::place::{Place, PlaceKind};
use crate::layout::paths;
use crate::parse::fstab;
use crate::path::preset::MACHINE_ID;
use crate::path::{Asked, Form};
use crate::step::effective::Effective;
use crate::step::path::{Kind, PathStep};
use crate::step::path_state::{PathOutcome, PathState};
use crate::step::refusal::{Refusal, UPPER_FILE_SYSTEMS, refuse};
use crate::value::device::Device;
use crate::value::field::Field;
use crate::value::path::is_in;
use store::Keeper;

/// What becomes of the paths.
#[derive(Debug, Default)]
pub struct PathPlan {
    /// Before the overlay is mounted.
    pub layers: Vec<PathStep>,
    /// Over the merged root, the innermost last.
    pub over: Vec<PathStep>,
    /// How each path fares.
    pub states: Vec<PathState>,
    /// What is worth saying.
    pub notes: Vec<String>,
    /// What can't be had.
    pub refused: Vec<Refusal>,
    /// Whether the file system under the lower has to stay writable.
    pub needs_lower_fs: bool,
}

/// Plans them. `dev` keeps those that name no device; `effective` is what runs, with an overlay of these `layers`, the
/// uppermost first.
pub fn plan(
    specs: &[Field<Asked>],
    dev: Option<&Device>,
    facts: &Facts,
    effective: &Effective,
    layers: Vec<String>,
) -> PathPlan {
    let mut builder = Builder { dev, facts, effective, layers, plan: PathPlan::default() };
    let mut asked: Vec<&Field<Asked>> = specs.iter().collect();
    // What lies below another is mounted after it.
    asked.sort_by_key(|asked| (asked.value.path.matches('/').count(), asked.value.path.clone()));
    asked.into_iter().for_each(|asked| builder.entry(asked));
    let mut plan = builder.plan;
    plan.needs_lower_fs = plan.layers.iter().any(|step| matches!(step, PathStep::OpenRoot { .. }));
    plan
}

struct Builder<'a> {
    dev: Option<&'a Device>,
    facts: &'a Facts,
    effective: &'a Effective,
    layers: Vec<String>,
    plan: PathPlan,
}

impl Builder<'_> {
    fn entry(&mut self, field: &Field<Asked>) {
        let asked = &field.value;
        if asked.if_there && self.place(&asked.path).kind == PlaceKind::Missing {
            return self.state(asked, PathOutcome::Absent, None);
        }
        let nowhere = asked.params.dev.is_none() && self.dev.is_none() && self.own().is_none();
        let volatile = Asked { kind: Kind::Volatile, ..asked.clone() };
        if asked.either && nowhere {
            let text = format!("{} is volatile: the upper is in RAM, and no device is named to keep it", asked.path);
            self.plan.notes.push(text);
            return self.one(&Field { value: volatile, origin: field.origin.clone() });
        }
        let before = self.plan.refused.len();
        self.one(field);
        // Its users can't work on an overlay at all: better volatile than not there, unless it is the path's own fault.
        let device = self.plan.refused.get(before).is_some_and(|refusal| !refusal.code.starts_with("path-"));
        if asked.either && device {
            self.plan.states.retain(|state| state.path != asked.path);
            self.one(&Field { value: volatile, origin: field.origin.clone() });
        }
    }

    fn one(&mut self, field: &Field<Asked>) {
        let asked = &field.value;
        let done = self.clear_way(asked).and_then(|()| match asked.kind {
            Kind::Persist => self.persist(asked),
            Kind::Volatile => self.volatile(asked).map(|()| None),
            Kind::Bind => self.bind(asked).map(|()| None),
            Kind::Readonly => self.readonly(asked).map(|()| None),
        });
        match done {
            Ok(keeper) => self.state(asked, PathOutcome::Done, keeper),
            Err(refusal) => {
                self.state(asked, PathOutcome::Failed, None);
                let text = format!("{}: {}", field.origin, refusal.text);
                if let Some(state) = self.plan.states.last_mut() {
                    state.why = Some(refusal.text);
                }
                self.plan.refused.push(Refusal { text, ..refusal });
            }
        }
    }

    fn state(&mut self, asked: &Asked, outcome: PathOutcome, keeper: Option<Keeper>) {
        let volatile = asked.kind == Kind::Volatile && outcome == PathOutcome::Done;
        self.plan.states.push(PathState {
            path: asked.path.clone(),
            kind: asked.kind,
            files: asked.kind == Kind::Persist && !self.is_directory(asked),
            preset: asked.preset.map(str::to_owned),
            outcome,
            store: keeper.as_ref().map(|keeper| keeper.directory.clone()),
            device: keeper.and_then(|keeper| keeper.device),
            options: if volatile { asked.params.options() } else { String::new() },
            why: None,
        });
    }

    fn place(&self, path: &str) -> Place {
        self.facts.paths.get(path).cloned().unwrap_or_default()
    }

    fn is_directory(&self, asked: &Asked) -> bool {
        match asked.form {
            Form::Directory => true,
            Form::Files => false,
            Form::Open => self.place(&asked.path).kind == PlaceKind::Directory,
        }
    }

    /// Nothing in the way, and nothing mounted over it later.
    fn clear_way(&self, asked: &Asked) -> Result<(), Refusal> {
        let path = &asked.path;
        let place = self.place(path);
        if let Some(part) = place.blocked_by {
            let text = format!("{part} on the way to {path} is a link or no directory: name the place itself");
            return refuse("path-place", text);
        }
        let wanted = match (asked.form, place.kind) {
            (Form::Directory, PlaceKind::Directory | PlaceKind::Missing) | (Form::Files, _) => None,
            (Form::Directory, _) => Some("a directory"),
            (Form::Open, PlaceKind::Link) if asked.kind != Kind::Persist => Some("a file or a directory"),
            (Form::Open, PlaceKind::Other | PlaceKind::Subvolume) => Some("a file or a directory"),
            (Form::Open, _) => None,
        };
        if let Some(wanted) = wanted {
            return refuse("path-place", format!("{path} is {}, not {wanted}", place.kind.word()));
        }
        let Some(root) = &self.facts.root else { return Ok(()) };
        let over = fstab::parse(&root.fstab).into_iter().find(|entry| {
            let at = entry.at.trim_end_matches('/');
            let later = !root.submounts.iter().any(|mount| mount == at) && entry.comes_by_itself();
            entry.at.starts_with('/') && !at.is_empty() && later && is_in(path, at)
        });
        match over {
            Some(entry) => {
                refuse("path-hidden", format!("fstab mounts {} on {}, which hides {path}", entry.what, entry.at))
            }
            None => Ok(()),
        }
    }

    fn persist(&mut self, asked: &Asked) -> Result<Option<Keeper>, Refusal> {
        let path = asked.path.clone();
        let directory = self.is_directory(asked);
        if !directory {
            self.seen_below_mounts(&path)?;
        }
        let mut keeper = self.keeper(asked)?;
        let (store, mount, layers) = (keeper.directory.clone(), keeper.mount.clone(), self.layers.clone());
        if directory {
            let store = format!("{store}/{}.dir", fstab::escaped(&path));
            keeper.directory.clone_from(&store);
            self.plan.layers.push(PathStep::Point { path: path.clone(), layers: layers.clone() });
            self.plan.over.push(PathStep::Persist { path, root: paths::SYSROOT.to_owned(), store, mount, layers });
        } else {
            let store = format!("{store}/files");
            keeper.directory.clone_from(&store);
            self.plan.layers.push(match path.as_str() {
                MACHINE_ID => PathStep::MachineId { path, store, mount, layers },
                _ => PathStep::Restore { path, store, mount, layers },
            });
        }
        Ok(Some(keeper))
    }

    /// Files go into the upper, and are not seen below what is mounted over it.
    fn seen_below_mounts(&self, path: &str) -> Result<(), Refusal> {
        let mounted = self.plan.over.iter().filter(|step| !matches!(step, PathStep::ReadOnly { .. }));
        let mut over = mounted.filter_map(PathStep::path).filter(|at| is_in(path, at));
        match over.next() {
            Some(at) => refuse("path-hidden", format!("{path} lies in {at}, which has a policy of its own")),
            None => Ok(()),
        }
    }

    fn volatile(&mut self, asked: &Asked) -> Result<(), Refusal> {
        let path = asked.path.clone();
        let place = self.place(&path).kind;
        if !matches!(place, PlaceKind::Directory | PlaceKind::Missing) {
            return refuse("path-place", format!("{path} is {}: only a directory can be volatile", place.word()));
        }
        let (options, mode, copy) = (asked.params.options(), asked.params.mode, asked.params.copy);
        let (root, layers) = (paths::SYSROOT.to_owned(), self.layers.clone());
        self.plan.layers.push(PathStep::Point { path: path.clone(), layers: layers.clone() });
        self.plan.over.push(PathStep::Volatile { path, root, options, mode, copy, layers });
        Ok(())
    }

    fn bind(&mut self, asked: &Asked) -> Result<(), Refusal> {
        let (path, Some(root)) = (asked.path.clone(), &self.facts.root) else { return Ok(()) };
        if root.live.is_some() || !UPPER_FILE_SYSTEMS.contains(&root.fstype.as_str()) {
            let what = if root.live.is_some() { "an image" } else { root.fstype.as_str() };
            return refuse("path-lower", format!("the root is {what}, which bind: can't make writable for {path}"));
        }
        if self.place(&path).kind == PlaceKind::Missing {
            return refuse("path-place", format!("{path} is not in the root, so there is nothing to bind"));
        }
        let effective = self.effective;
        if let Some(upper) = effective.path.as_deref().filter(|upper| effective.device.is_none() && is_in(upper, &path))
        {
            return refuse("path-lower", format!("the upper itself ({upper}) lies in {path}"));
        }
        let lower = self.layers.last().cloned().unwrap_or_default();
        let at = paths::KEEP_ROOT.to_owned();
        if !self.plan.layers.iter().any(|step| matches!(step, PathStep::OpenRoot { .. })) {
            self.plan.layers.push(PathStep::OpenRoot { lower, at: at.clone() });
        }
        self.plan.over.push(PathStep::Bind { from: format!("{at}{path}"), path, root: paths::SYSROOT.to_owned() });
        Ok(())
    }

    fn readonly(&mut self, asked: &Asked) -> Result<(), Refusal> {
        let path = asked.path.clone();
        // An upper that stays may have what the lower lacks.
        if self.place(&path).kind == PlaceKind::Missing && self.effective.store.is_none() {
            return refuse("path-place", format!("{path} is not in the root"));
        }
        self.plan.over.push(PathStep::ReadOnly { path, root: paths::SYSROOT.to_owned() });
        Ok(())
    }
}

#[cfg(test)]
mod tests;

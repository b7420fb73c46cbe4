// SPDX-License-Identifier: GPL-2.0-or-later
//! What is to be done for the policies of single paths. What goes into the layers goes there before the overlay is
//! mounted; what is mounted over the merged root comes last.

mod store;

use crate::facts::Facts;
use crate::facts::place::{Place, PlaceKind};
use crate::parse::fstab;
use crate::path::{Asked, Form};
use crate::step::effective::Effective;
use crate::step::path::{Kind, PathStep};
use crate::step::path_state::{PathOutcome, PathState};
use crate::step::refusal::{Refusal, refuse};
use crate::value::device::Device;
use crate::value::field::Field;
use crate::value::order::sorted_by_key;
use crate::value::path::is_in;
pub(crate) use store::Keeper;

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
    // What lies below another is mounted after it.
    let depth = |path: &str| path.bytes().filter(|byte| *byte == b'/').count();
    let asked = sorted_by_key(specs.iter().collect(), |asked: &&Field<Asked>| {
        (depth(&asked.value.path), asked.value.path.clone())
    });
    asked.into_iter().for_each(|asked| builder.entry(asked));
    let mut plan = builder.plan;
    plan.needs_lower_fs = plan.layers.iter().any(|step| matches!(step, PathStep::OpenRoot { .. }));
    plan
}

/// A plan that is being made, and what it is made from.
pub(crate) struct Builder<'a> {
    pub(crate) dev: Option<&'a Device>,
    pub(crate) facts: &'a Facts,
    pub(crate) effective: &'a Effective,
    pub(crate) layers: Vec<String>,
    pub(crate) plan: PathPlan,
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
        let done = self.clear_way(asked).and_then(|()| asked.kind.plan(self, asked));
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

    /// What is there.
    pub(crate) fn place(&self, path: &str) -> Place {
        self.facts.paths.get(path).cloned().unwrap_or_default()
    }

    /// Whether it is, or is to be, a directory.
    pub(crate) fn is_directory(&self, asked: &Asked) -> bool {
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
}

#[cfg(test)]
mod tests;

// SPDX-License-Identifier: GPL-2.0-or-later
//! What goes into an upper before the system sees it, and what the system does first: the same for each kind of upper.

use crate::config::Config;
use crate::facts::Facts;
use crate::feature::populate::{self, Populate};
use crate::layout::paths;
use crate::path;
use crate::plan::draft::Draft;
use crate::plan::{git, hostname};
use crate::step::Step;
use crate::step::refusal::Refusal;
use crate::upper::request::{Access, Kept};

/// Fills the phases that hold what is specific to a machine.
///
/// # Errors
/// What can't be had: an archive always, a name where the policy is strict. Otherwise the draft says that it goes
/// without the name.
pub(crate) fn provision(config: &Config, facts: &Facts, mut draft: Draft) -> Result<Draft, Refusal> {
    fill(config, facts, &mut draft)?;
    match hostname::of(config, facts) {
        Err(refusal) if config.fallback.value.strict() => return Err(refusal),
        name => name_it(&mut draft, name),
    }
    git::ask(config, &mut draft);
    let refused = paths_of(config, facts, &mut draft);
    if config.fallback.value.strict() {
        return refused.into_iter().next().map_or(Ok(draft), Err);
    }
    draft.without.extend(refused);
    Ok(draft)
}

/// The same for what the policy makes instead, which goes without whatever can't be had; with `populate` it is
/// tried to have it populated at least.
pub(crate) fn provision_instead(config: &Config, facts: &Facts, mut draft: Draft, populate: bool) -> Draft {
    if populate {
        let filled = fill(config, facts, &mut draft);
        draft.without.extend(filled.err());
    }
    name_it(&mut draft, hostname::of(config, facts));
    git::ask(config, &mut draft);
    let refused = paths_of(config, facts, &mut draft);
    draft.without.extend(refused);
    draft
}

fn name_it(draft: &mut Draft, name: Result<Option<String>, Refusal>) {
    match name {
        Err(refusal) => draft.without.push(refusal),
        Ok(None) => {}
        Ok(Some(name)) => {
            draft.effective.hostname = Some(name.clone());
            let (upper, lowers) = (draft.overlay.upper.clone(), draft.overlay.lowers.clone());
            draft.layers.push(Step::Hostname { name, upper, lowers });
        }
    }
}

/// Single paths; gives back what can't be had.
fn paths_of(config: &Config, facts: &Facts, draft: &mut Draft) -> Vec<Refusal> {
    let layers = std::iter::once(&draft.overlay.upper).chain(&draft.overlay.lowers).cloned().collect();
    let found = path::plan::plan(&config.paths, config.path_dev.value.as_ref(), facts, &draft.effective, layers);
    draft.notes.extend(found.notes);
    if found.needs_lower_fs {
        draft.lower_fs = None;
        draft.notes.push("the file system under the lower stays writable, for bind: paths".to_owned());
    }
    draft.layers.extend(found.layers.into_iter().map(Step::Path));
    draft.paths.extend(found.over.into_iter().map(Step::Path));
    if found.states.iter().any(|state| state.kept_files().is_some()) {
        draft.paths.extend(paths::KEEP_WANTED.into_iter().map(|(path, unit)| Step::LinkRun {
            path: path.to_owned(),
            to: unit.to_owned(),
            why: "saves the files that are kept".to_owned(),
        }));
    }
    draft.effective.paths.extend(found.states);
    found.refused
}

/// As soon as the upper is there and held to its size, and before anything else is in it.
fn fill(config: &Config, facts: &Facts, draft: &mut Draft) -> Result<(), Refusal> {
    let Some(asked) = &config.populate.value else {
        return Ok(());
    };
    let (store, readonly, anew) = match &draft.kept {
        Some(Kept { store, access: Access::Layer }) => (store.clone(), true, true),
        Some(Kept { store, access: Access::Upper { reset } }) => (store.clone(), false, *reset),
        None => (draft.store.clone(), false, true),
    };
    let node = hostname::node(config, facts);
    let populate = Populate { readonly, ..Populate::new(asked, &node, &facts.archive, store, paths::SYSROOT) };
    match &populate.unready {
        Some(why) if anew && !readonly => {
            let text = format!("{}: {why}", config.populate.origin);
            return Err(Refusal { code: populate::CODE, text, stand_aside: false });
        }
        Some(why) if !readonly => draft.notes.push(format!("a new upper could not be populated: {why}")),
        Some(_) | None => {}
    }
    draft.fill.push(Step::Populate(populate));
    Ok(())
}

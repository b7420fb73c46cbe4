// SPDX-License-Identifier: GPL-2.0-or-later
//! `rd.overlay.git` in a plan: what the booted system is told to pull.

use crate::config::Config;
use crate::facts::Node;
use crate::feature::git::Git;
use crate::feature::template::{Template, Var};
use crate::keys;
use crate::layout::paths;
use crate::plan::draft::Draft;
use crate::step::Step;
use crate::value::diagnostics::Issue;

/// What is to be pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The repository.
    pub git: Git,
    /// File with the signers that are allowed.
    pub verify: Option<String>,
    /// Who says so.
    pub origin: String,
}

/// What a configuration asks to pull.
///
/// # Errors
/// Any mistake in keys about it: what was to be verified must not run unverified for a typing mistake.
pub fn asked(config: &Config) -> Result<Option<Asked>, String> {
    let about = |issue: &&Issue| {
        let key = issue.key.to_ascii_lowercase();
        // A key that is not told whole may have been anything.
        let near = issue.nearest.as_deref().is_some_and(|near| near.starts_with(keys::GIT.name));
        near || (keys::is_ours(&key) && ["git", "verif", "***"].iter().any(|word| key.contains(word)))
    };
    if let Some(issue) = config.issues.iter().find(about) {
        return Err(issue.to_string());
    }
    let verify = config.git_verify.value.clone();
    let origin = config.git.origin.to_string();
    Ok(config.git.value.clone().map(|git| Asked { git, verify, origin }))
}

/// The variables that must be known to pull, [`Var::Hostname`] among them.
pub fn variables(asked: &Asked, config: &Config) -> Vec<Var> {
    let name = config.hostname.value.iter().flat_map(Template::vars);
    asked.git.vars().chain(name).chain([Var::Hostname]).collect()
}

/// Has the booted system start the unit, where the root is an overlay: scripts that change a plain root would
/// change it for every machine that boots it.
pub(crate) fn ask(config: &Config, draft: &mut Draft) {
    match asked(config) {
        Ok(Some(asked)) => {
            let written = asked.git.written();
            if written != asked.git.to_string() {
                // The configuration may be in a file that only the initramfs has, and everybody reads the record.
                let (path, why) = (paths::PULL_ASKED.to_owned(), "keeps the URL of the pull for root alone".to_owned());
                draft.host.push(Step::WriteRun { path, text: written, why });
            }
            draft.host.push(Step::LinkRun {
                path: paths::PULL_WANTED.to_owned(),
                to: paths::PULL_UNIT.to_owned(),
                why: match &asked.verify {
                    Some(file) => format!("pulls {}, signed as {file} allows", asked.git),
                    None => format!("pulls {}", asked.git),
                },
            });
        }
        Ok(None) if config.git_verify.value.is_some() => {
            draft.notes.push(format!("{} has no effect without {}", keys::GIT_VERIFY.name, keys::GIT.name));
        }
        Ok(None) | Err(_) => {}
    }
}

/// The machine as the values of `rd.overlay.git` see it.
pub fn node(config: &Config, node: Node) -> Node {
    crate::plan::hostname::node(config, &crate::facts::Facts { node, ..crate::facts::Facts::default() })
}

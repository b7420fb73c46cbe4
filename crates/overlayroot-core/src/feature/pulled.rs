// SPDX-License-Identifier: GPL-2.0-or-later
//! What became of a pull: `/run/overlayroot/pull.json`, written by `overlayctl pull` as it goes on.

use crate::value::diagnostics::escape;
use crate::value::why::Why;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Version of the form; raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;
/// Directory of the repository whose files are run.
pub const SCRIPTS: &str = "overlayroot.d";

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It has not ended, or was killed.
    Running,
    /// All that was to run did, and well.
    Done,
    /// Something failed.
    Failed,
}

/// The whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed.
    pub reason: Option<Why>,
    /// The repository, variables replaced; as written where they can't be.
    pub url: String,
    /// Branch, tag or commit id that was asked for; none for the repository's `HEAD`.
    pub reference: Option<String>,
    /// Where it was asked for.
    pub origin: String,
    /// File with the allowed signers, where one was asked for.
    pub verify: Option<String>,
    /// The commit.
    pub commit: Option<String>,
    /// Principal of the allowed signer, and the key.
    pub verified_by: Option<String>,
    /// Where the commit is checked out.
    pub directory: Option<String>,
    /// How often it was tried to fetch.
    pub tries: u32,
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// When it ended.
    pub ended: Option<u64>,
    /// What was found to run, in order.
    pub scripts: Vec<Script>,
    /// What is worth saying.
    pub notes: Vec<String>,
}

/// One file of [`SCRIPTS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub result: Ran,
    /// Its exit status; none where it did not end by itself.
    pub status: Option<i32>,
    /// Milliseconds that it took.
    pub ms: u64,
    /// Why it was left out, or could not be run.
    pub text: Option<String>,
}

/// What became of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ran {
    /// Its turn comes, or never came.
    NotRun,
    /// It runs.
    Running,
    /// It ended with 0.
    Done,
    /// It ended otherwise.
    Failed,
    /// It is nothing that is run.
    LeftOut,
}

impl Pulled {
    /// One that begins.
    pub fn begin(url: String, reference: Option<String>, origin: String, verify: Option<String>, started: u64) -> Self {
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            outcome: Outcome::Running,
            reason: None,
            url,
            reference,
            origin,
            verify,
            commit: None,
            verified_by: None,
            directory: None,
            tries: 0,
            started,
            ended: None,
            scripts: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// One that ended without a word, because it was killed.
    pub fn interrupted(&mut self) {
        self.outcome = Outcome::Failed;
        self.reason =
            Some(Why { code: "interrupted".to_owned(), text: "it was killed, or its unit stopped".to_owned() });
    }
}

impl fmt::Display for Pulled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = if self.url.is_empty() { "the repository" } else { &self.url };
        write!(f, "{}", escape(url))?;
        if let Some(reference) = &self.reference {
            write!(f, "#{reference}")?;
        }
        if let Some(commit) = &self.commit {
            write!(f, " at {}", commit.get(..12).unwrap_or(commit))?;
        }
        if let Some(signer) = &self.verified_by {
            write!(f, ", signed by {}", escape(signer))?;
        }
        let count = |result| self.scripts.iter().filter(|script| script.result == result).count();
        let running = self.scripts.iter().find(|script| script.result == Ran::Running);
        match (self.outcome, &self.reason, running) {
            (Outcome::Done, ..) if count(Ran::Done) == 1 => write!(f, ": 1 script ran"),
            (Outcome::Done, ..) => write!(f, ": {} scripts ran", count(Ran::Done)),
            (Outcome::Running, _, Some(script)) => write!(f, ": runs {}", escape(&script.name)),
            (Outcome::Running, ..) => write!(f, ": is being fetched, try {}", self.tries),
            (Outcome::Failed, Some(why), _) => write!(f, ": failed ({}), {}", why.code, escape(&why.text)),
            (Outcome::Failed, None, _) => write!(f, ": failed"),
        }
    }
}

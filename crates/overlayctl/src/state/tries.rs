// SPDX-License-Identifier: GPL-2.0-or-later
//! Which of several uppers the next boots use, and how often they try it: what `overlayctl uppers use` has written.

use crate::state::kept;
use anyhow::{Context, Result};
use overlayroot_core::config::Config;
pub use overlayroot_core::feature::tries::PROGRAM;
use overlayroot_core::feature::tries::{Boots, RETURNED, Turn};
use overlayroot_core::layout::{DEFAULT_UPPER, Store};
use overlayroot_core::plan::Decision;
use overlayroot_core::step::refusal::Refusal;
use overlayroot_core::value::field::Origin;
use overlayroot_linux::step::store::is_beside;
use overlayroot_linux::sys::files;
use overlayroot_linux::sys::newfile::write_durable;
use std::io::{self, ErrorKind};

/// Reads it; `None` where nothing is asked for.
///
/// # Errors
/// Where it can't be read or understood.
pub fn read(store: &Store) -> Result<Option<Boots>> {
    let path = store.boots();
    let text = match files::read_small(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("reading {path}"))?,
    };
    let boots = serde_json::from_slice(&text).ok().and_then(Boots::valid);
    boots.with_context(|| format!("{path} is not valid")).map(Some)
}

/// Writes it, so that it is there after a power cut.
///
/// # Errors
/// Those of the file system.
pub fn write(store: &Store, boots: &Boots) -> Result<()> {
    write_durable(&store.boots(), &format!("{}\n", serde_json::to_string(boots)?))
}

/// What the next boot makes of it.
pub struct Next {
    turn: Option<Turn>,
    note: String,
}

impl Next {
    /// Of a boot with this configuration and this initramfs, where it finds the file system that this one has.
    /// `has` tells whether that has the program, where it is known.
    pub fn of(config: &Config, image: Option<&str>, has: impl FnOnce(&str) -> Option<bool>) -> Option<Self> {
        let (record, store) = kept::find().ok()?.upper()?;
        if config.name.origin != Origin::Default || record.requested.spec != config.upper.value.to_string() {
            return None;
        }
        let boots = match read(&store) {
            Ok(boots) => boots?,
            Err(error) => {
                let denied = error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::PermissionDenied);
                let then =
                    if denied { "which upper the next boot uses is not known" } else { "the next boot ignores it" };
                return Some(Self { turn: None, note: format!("{error:#}: {then}") });
            }
        };
        if image.and_then(has) == Some(false) {
            let note = format!("{} is not read: {} has no {PROGRAM}", store.boots(), image.unwrap_or_default());
            return Some(Self { turn: None, note });
        }
        let turn = boots.turn(|name| is_beside(&store, name));
        Some(Self { turn: Some(turn), note: boots.words() })
    }

    /// The name that the boot adds to its arguments.
    pub fn upper(&self) -> Option<&str> {
        self.turn.as_ref().map(Turn::upper).filter(|upper| *upper != DEFAULT_UPPER)
    }

    /// Has the plan say it.
    pub fn tell(self, decision: &mut Decision) {
        let (Decision::Do(plan) | Decision::Instead(_, plan)) = decision else { return };
        plan.notes.push(self.note);
        let why = self.turn.as_ref().and_then(Turn::why).map(str::to_owned);
        plan.without.extend(why.map(|text| Refusal { code: RETURNED, text, stand_aside: false }));
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! The parameters of `rd.overlay.path`, and `rd.overlay.path.dev`.

use crate::path::problem;
use crate::step::path::Kind;
use crate::value::device::{BY, Device, parse_device};
use crate::value::diagnostics::{Problem, escape};
use crate::value::params::unknown;
use crate::value::size::limit;

/// The parameters of one value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params {
    /// Device to keep it on.
    pub dev: Option<Device>,
    /// Limit of a tmpfs, as of an upper in RAM.
    pub size: Option<String>,
    /// Limit on the number of files of a tmpfs.
    pub nr_inodes: Option<String>,
    /// Mode of a tmpfs; that of the directory where none is given.
    pub mode: Option<u32>,
    /// A tmpfs begins with what the directory holds.
    pub copy: bool,
}

impl Params {
    /// Limit of a tmpfs where none is given: a quarter of RAM each.
    pub const DEFAULT_SIZE: &str = "25%";

    /// Mount options of a tmpfs. Its mode is set with the other attributes.
    pub fn options(&self) -> String {
        let mut out = format!("size={}", self.size.as_deref().unwrap_or(Self::DEFAULT_SIZE));
        if let Some(inodes) = &self.nr_inodes {
            out.push_str(&format!(",nr_inodes={inodes}"));
        }
        out
    }
}

pub(crate) fn parse_params(text: &str, kind: Kind, either: bool) -> Result<Params, Problem> {
    let known = kind.params(either && kind == Kind::Persist);
    let mut params = Params::default();
    for param in text.split(',').filter(|param| !param.is_empty()) {
        let (key, value) = param.split_once('=').unwrap_or((param, ""));
        if !known.contains(&key) {
            return Err(match known.as_slice() {
                [] => Problem::new(format!("{} takes no parameters, not '{}'", kind.word(), escape(key)), None),
                known => unknown(key, known),
            });
        }
        match key {
            "dev" => params.dev = Some(device(value)?),
            "size" => params.size = Some(limit(key, value)?),
            "nr_inodes" => params.nr_inodes = Some(limit(key, value)?),
            "mode" => params.mode = Some(mode(value)?),
            _ => params.copy = true,
        }
    }
    Ok(params)
}

fn mode(value: &str) -> Result<u32, Problem> {
    let digits = (3..=4).contains(&value.len()) && value.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(value, 8) {
        Ok(mode) if digits => Ok(mode),
        _ => problem(format!("mode={} is not three or four octal digits", escape(value))),
    }
}

fn device(value: &str) -> Result<Device, Problem> {
    match parse_device(value) {
        Some(device) => device,
        None => Err(Problem::not_one_of(&format!("dev={}", escape(value)), value, &BY)),
    }
}

/// The value of `rd.overlay.path.dev`; empty is none.
///
/// # Errors
/// What is no device.
pub fn parse_dev(value: &str) -> Result<Option<Device>, Problem> {
    if value.is_empty() { Ok(None) } else { device(value).map(Some) }
}

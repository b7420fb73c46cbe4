// SPDX-License-Identifier: GPL-2.0-or-later
//! The small files of JSON in /run, each of which has a version.

use crate::sys::{files, newfile};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::ErrorKind;

/// Reads one; `None` where it is not there.
///
/// # Errors
/// Where it can't be read, has more than `most` bytes, or another `schema`.
pub fn read<T: DeserializeOwned>(path: &str, most: u64, schema: u32) -> Result<Option<T>> {
    let text = match files::read(path, most) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("reading {path}"))?,
    };
    let value: serde_json::Value = serde_json::from_slice(&text).with_context(|| format!("parsing {path}"))?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(found) if found == u64::from(schema) => {}
        Some(found) => bail!("{path} has schema {found}, this version reads {schema}"),
        None => bail!("{path} has no schema, this version reads {schema}"),
    }
    serde_json::from_value(value).with_context(|| format!("reading the fields of {path}")).map(Some)
}

/// The same for a small file without which one can do: `None` also where it is not understood.
pub fn glance<T: DeserializeOwned>(path: &str, schema: u32) -> Option<T> {
    read(path, files::SMALL, schema).ok().flatten()
}

/// Writes one, whole or not at all.
///
/// # Errors
/// Those of writing.
pub fn write<T: Serialize>(path: &str, value: &T) -> Result<()> {
    let text = serde_json::to_string(value).with_context(|| format!("writing {path} as JSON"))?;
    newfile::write_atomic(path, &(text + "\n"))
}

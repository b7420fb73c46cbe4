// SPDX-License-Identifier: GPL-2.0-or-later
//! An archive in the root, and what a record says of it.

use crate::run;
use serde_json::Value;

/// Runs a line that packs an archive.
pub fn pack(command: &str) {
    run("sh", &["-c", command]);
}

/// The outcome, and the state of `populate`, in a record.
pub fn state(record: &Value) -> (&str, &str) {
    (record["outcome"].as_str().unwrap(), record["populate"]["state"].as_str().unwrap_or("none"))
}

/// The SHA-256 of a file.
pub fn sha256(path: &str) -> String {
    run("sha256sum", &[path]).split(' ').next().unwrap().to_owned()
}

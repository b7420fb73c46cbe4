// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl pull` inside the root, and what came of it.

use crate::Stage;
use serde_json::Value;
use std::fs;
use std::process::Output;

/// What the last pull says.
pub const STATE: &str = "/run/overlayroot/pull.json";

/// Where pulls are kept.
pub const DIR: &str = "/sysroot/var/lib/overlayroot-rs/pull";

/// All that a program printed.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What the last pull says, read.
pub fn state() -> Value {
    serde_json::from_str(&fs::read_to_string(STATE).expect("no state")).expect("JSON")
}

/// The scripts that ran, in order.
pub fn ran() -> Vec<String> {
    fs::read_to_string("/sysroot/ran").unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Pulls, and expects success.
pub fn pulls(stage: &Stage) -> Value {
    let output = stage.overlayctl_inside(&["pull", "--timeout", "0"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(state()["outcome"], "done", "{:#}", state());
    state()
}

/// Pulls, and expects that it fails, with this code.
pub fn fails(stage: &Stage, code: &str) -> Value {
    let output = stage.overlayctl_inside(&["pull", "--timeout", "0"]);
    assert_eq!((output.status.code(), &state()["reason"]["code"]), (Some(1), &code.into()), "{}", said(&output));
    assert_eq!(state()["outcome"], "failed");
    state()
}

/// Writes the configuration file of the root.
pub fn conf(text: &str) {
    fs::write("/sysroot/etc/overlayroot-rs.conf", text).expect("the configuration file");
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! What tests of a reset's time share.

use crate::{Disk, Stage};
use serde_json::Value;
use std::fs;

/// Boots with the upper on this device.
pub fn boot(stage: &Stage, disk: &Disk, more: &str) -> Value {
    let record = stage.assemble(&format!("rd.overlay={} {more}", disk.node));
    assert_eq!(record["outcome"], "applied", "{record:#}");
    assert_eq!(record["effective"]["upper"], "device");
    record
}

/// Microseconds of a step in a record.
///
/// # Panics
/// Where it has no such step.
#[allow(clippy::expect_used, reason = "tests only")]
pub fn us(record: &Value, step: &str) -> u64 {
    let mut steps = record["steps"].as_array().expect("steps").iter();
    steps.find(|entry| entry["step"] == step).and_then(|entry| entry["us"].as_u64()).expect("its time")
}

/// Makes so many empty files, 500 in each directory.
///
/// # Panics
/// Where that fails.
#[allow(clippy::expect_used, reason = "tests only")]
pub fn fill(directory: &str, count: u32) {
    for number in 0..count {
        if number % 500 == 0 {
            fs::create_dir_all(format!("{directory}/{}", number / 500)).expect("a directory");
        }
        fs::write(format!("{directory}/{}/{number}", number / 500), "").expect("a file");
    }
}

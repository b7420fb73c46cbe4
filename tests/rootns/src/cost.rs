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

/// What overlay-assemble calls, a line each, as strace prints it.
///
/// # Panics
/// Where strace is missing, or the program fails.
#[allow(clippy::expect_used, reason = "tests only")]
pub fn calls(stage: &Stage, cmdline: &str, args: &[&str]) -> Vec<String> {
    assert!(fs::exists("/usr/bin/strace").expect("looking for it"), "strace is missing: make deps installs it");
    let traced = ["-f", "-qq", "-e", "signal=none", "-o", "/tmp/calls", "/overlay-assemble"];
    let output = stage.tool("usr/bin/strace", cmdline.as_bytes(), &[&traced, args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string("/tmp/calls").expect("what it called");
    let calls = text.lines().filter_map(|line| line.trim_start().split_once(' ')).map(|(_, call)| call.trim_start());
    calls.filter(|call| !call.starts_with("<... ")).map(str::to_owned).collect()
}

/// How many of them a release makes in an initramfs. The loader looks in vain for libraries where there is no cache of
/// their names, as on the stage; the standard library asks before each close whether it is open, in a debug build only.
pub fn counted(calls: &[String]) -> usize {
    // The first call of the program itself: whether it has its three descriptors.
    let main = calls.iter().position(|call| call.contains("\"/dev/null\"")).unwrap_or_default();
    let loaders = calls.iter().take(main).filter(|call| !call.contains("= -1 ENOENT")).count();
    loaders + calls.iter().skip(main).filter(|call| !call.contains(", F_GETFD)")).count()
}

/// Paths of the files below a directory that were opened, but for those of the program itself.
pub fn opened<'a>(calls: &'a [String], below: &str) -> Vec<&'a str> {
    let opens = calls.iter().filter(|call| call.starts_with("open"));
    let paths = opens.filter_map(|call| call.split('"').nth(1));
    paths.filter(|path| path.starts_with(below) && !path.starts_with("/proc/self/")).collect()
}

/// Bytes that were read from a block device so far.
///
/// # Panics
/// Where sysfs does not say so.
#[allow(clippy::expect_used, reason = "tests only")]
pub fn bytes_read(disk: &Disk) -> u64 {
    let name = disk.node.rsplit('/').next().unwrap_or_default();
    let stat = fs::read_to_string(format!("/sys/class/block/{name}/stat")).expect("its counts");
    // Requests, merged requests, sectors of 512 bytes (kernel: Documentation/block/stat.rst).
    let sectors = stat.split_whitespace().nth(2).and_then(|number| number.parse::<u64>().ok());
    sectors.expect("sectors") * 512
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! The fill of an upper for Prometheus' node exporter: its text format. Must not write the file.

use crate::watch::levels::{FillLevel, Reading};
use overlayroot_core::config::thresholds::Thresholds;
use std::fmt::Write;

/// The file's text.
pub fn text(reading: &Reading, level: FillLevel, marks: Thresholds, fstype: &str) -> String {
    let mut text = String::new();
    let plain: [(&str, &str, u64); 6] = [
        (
            "size_bytes",
            "Bytes of the root's upper: its limit, or its file system, whatever else is on it; 0 without limit.",
            reading.bytes,
        ),
        ("used_bytes", "Bytes in use of them.", reading.used),
        ("available_bytes", "Bytes of them that are available.", reading.available),
        ("inodes", "Inodes of its file system; 0 where there is no fixed number.", reading.inodes),
        ("inodes_used", "Inodes in use on it.", reading.inodes_used),
        ("level", "0 fine, 1 warning, 2 critical, as overlayctl watch has it.", level as u64),
    ];
    for (name, help, value) in plain {
        head(&mut text, name, help);
        let _ = writeln!(text, "overlayroot_upper_{name} {value}");
    }
    head(&mut text, "used_ratio", "Share in use, by resource.");
    for (resource, share) in reading.shares() {
        let _ = writeln!(text, "overlayroot_upper_used_ratio{{resource=\"{}\"}} {}", resource.word(), ratio(share));
    }
    head(&mut text, "threshold_ratio", "Share at which a level begins.");
    for (word, percent) in [("warning", marks.warn), ("critical", marks.critical)] {
        let share = ratio(u64::from(percent) * 100);
        let _ = writeln!(text, "overlayroot_upper_threshold_ratio{{level=\"{word}\"}} {share}");
    }
    head(&mut text, "info", "Kind of the file system.");
    let _ = writeln!(text, "overlayroot_upper_info{{fstype=\"{}\"}} 1", quoted(fstype));
    text
}

fn head(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP overlayroot_upper_{name} {help}\n# TYPE overlayroot_upper_{name} gauge");
}

/// Hundredths of a percent as a share of one.
fn ratio(share: u64) -> String {
    format!("{}.{:04}", share / 10_000, share % 10_000)
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlayroot_core::parse::meminfo::Memory;

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let memory = Memory { ram: 100, available: 25, ..Memory::default() };
        let reading = Reading {
            bytes: 100,
            used: 75,
            available: 25,
            inodes: 1000,
            inodes_used: 7,
            memory: Some(memory),
            outer: None,
        };
        let text = text(&reading, FillLevel::Warning, Thresholds::default(), "tm\"pfs");
        for line in [
            "# TYPE overlayroot_upper_used_bytes gauge",
            "overlayroot_upper_size_bytes 100",
            "overlayroot_upper_used_bytes 75",
            "overlayroot_upper_inodes_used 7",
            "overlayroot_upper_level 1",
            "overlayroot_upper_used_ratio{resource=\"bytes\"} 0.7500",
            "overlayroot_upper_used_ratio{resource=\"inodes\"} 0.0070",
            "overlayroot_upper_used_ratio{resource=\"memory\"} 0.7500",
            "overlayroot_upper_threshold_ratio{level=\"critical\"} 0.9000",
            "overlayroot_upper_info{fstype=\"tm\\\"pfs\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "no '{line}' in\n{text}");
        }
        let mut seen = std::collections::BTreeSet::new();
        for line in text.lines() {
            assert!(seen.insert(line), "twice: {line}");
            if let Some(comment) = line.strip_prefix("# ") {
                assert!(comment.starts_with("HELP ") || comment.starts_with("TYPE "), "{line}");
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(name.starts_with("overlayroot_upper_") && value.parse::<f64>().is_ok(), "{line}");
            }
        }
        assert!(text.ends_with('\n'));
        assert_eq!(ratio(10_000), "1.0000");
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! Each unit of the host has no more than it needs, by systemd's own measure (`systemd-analyze security`, from 0 for
//! nothing to 10 for everything), and says nothing that would break what it does.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
use std::fs;
use std::process::Command;

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../systemd-units/host");

/// Tenths at most; `docs/internals/boot-sequence.md` has the same.
const MOST: [(&str, u32); 8] = [
    ("check", 30),
    ("good", 22),
    ("keep", 40),
    ("keep-late", 40),
    ("label", 38),
    ("trash", 22),
    ("trim", 22),
    ("watch", 36),
];
/// What it runs is root's, whatever that may be; its file says why.
const OPEN: [&str; 3] = ["pull", "thaw", "thawed"];

fn text(unit: &str) -> String {
    fs::read_to_string(format!("{UNITS}/overlayroot-rs-{unit}.service")).unwrap()
}

/// The values of a setting, from each of its lines.
fn values(unit: &str, setting: &str) -> Vec<String> {
    let text = text(unit);
    let lines = text.lines().filter_map(|line| line.strip_prefix(setting)?.strip_prefix('='));
    lines.map(str::to_owned).collect()
}

#[test]
fn every_unit_is_known_here() {
    let mut found: Vec<String> = fs::read_dir(UNITS)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_prefix("overlayroot-rs-")?.strip_suffix(".service")?.to_owned())
        })
        .collect();
    found.sort();
    let mut known: Vec<&str> = MOST.iter().map(|(unit, _)| *unit).chain(OPEN).collect();
    known.sort_unstable();
    assert_eq!(found, known);
}

#[test]
fn none_is_more_exposed_than_is_said() {
    let analyze = |args: &[&str]| {
        let output = Command::new("systemd-analyze").args(["--no-pager", "security"]).args(args).output();
        let output = output.ok()?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Some((output.status.success(), said))
    };
    // From systemd 250 on.
    let able = analyze(&["--help"]).is_some_and(|(_, said)| said.contains("--offline"));
    if !able {
        let why = "no systemd-analyze here that knows security --offline";
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
        return eprintln!("SKIP none_is_more_exposed_than_is_said: {why}");
    }
    let documented =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/internals/boot-sequence.md")).unwrap();
    for (unit, most) in MOST {
        let path = format!("{UNITS}/overlayroot-rs-{unit}.service");
        let (good, said) = analyze(&["--offline=true", &format!("--threshold={most}"), &path]).unwrap();
        assert!(said.contains("Overall exposure level"), "{said}");
        assert!(good, "overlayroot-rs-{unit}.service is above {most} tenths: {said}");
        let row = format!("| `overlayroot-rs-{unit}.service` | {}.{} |", most / 10, most % 10);
        assert!(documented.contains(&row), "docs/internals/boot-sequence.md has not: {row}");
    }
}

/// What gives a unit mounts of its own (systemd.exec(5)).
const OWN_MOUNTS: [&str; 16] = [
    "ProtectSystem",
    "ProtectHome",
    "PrivateTmp",
    "PrivateDevices",
    "PrivateMounts",
    "ProtectKernelTunables",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "ProtectControlGroups",
    "ProtectProc",
    "ProcSubset",
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "DynamicUser",
    "MountFlags",
];

#[test]
fn the_sandbox_leaves_what_a_unit_is_there_for() {
    // check judges the host's mounts; a mount that hangs would keep the shutdown or the boot; a file of the watch may
    // be anywhere.
    for unit in ["check", "keep", "keep-late", "label", "watch", "pull"] {
        for setting in OWN_MOUNTS {
            assert!(values(unit, setting).is_empty(), "{unit}: {setting}");
        }
    }
    // SELinux would leave what has it in systemd's own domain (nnp_transition), with more rights than without.
    for unit in MOST.map(|(unit, _)| unit).iter().chain(&OPEN) {
        for setting in ["NoNewPrivileges", "User"] {
            assert!(values(unit, setting).is_empty(), "{unit}: {setting}");
        }
    }
    // setuid files are kept, too; restorecon asks by netlink, and may compile; the watch writes to any terminal, asks
    // for the kernel's event, and starts a thread that is nice.
    for (unit, setting) in [
        ("keep", "RestrictSUIDSGID"),
        ("keep-late", "RestrictSUIDSGID"),
        ("label", "PrivateNetwork"),
        ("label", "MemoryDenyWriteExecute"),
        ("watch", "DevicePolicy"),
    ] {
        assert!(values(unit, setting).is_empty(), "{unit}: {setting}");
    }
    let has = |unit: &str, setting: &str, word: &str| values(unit, setting).join(" ").contains(word);
    assert!(has("label", "RestrictAddressFamilies", "AF_NETLINK"));
    assert!(has("watch", "CapabilityBoundingSet", "CAP_SYS_RESOURCE"));
    assert!(!has("watch", "SystemCallFilter", "@resources"));
    assert!(has("trash", "ReadWritePaths", "/run") && has("trash", "ReadWritePaths", "-/media"));
    // f2fs discards on a writable mount only.
    assert!(has("trim", "ReadWritePaths", "/run") && has("trim", "CapabilityBoundingSet", "CAP_SYS_ADMIN"));
    assert_eq!(values("keep", "CapabilityBoundingSet"), values("keep-late", "CapabilityBoundingSet"));
    // What files are to outlive the upper is saved before a soft-reboot, too; what has its label since keeps it.
    assert!(has("keep-late", "Conflicts", "shutdown.target"));
    let stops = ["Conflicts", "Before"].map(|setting| values("label", setting).join(" "));
    assert!(stops.iter().all(|units| units.contains("poweroff.target") && !units.contains("shutdown.target")));
    assert_eq!(values("label", "RemainAfterExit"), ["yes"]);
    for unit in MOST.map(|(unit, _)| unit) {
        // A call that an older systemd does not know must not kill.
        assert_eq!(values(unit, "SystemCallErrorNumber"), ["EPERM"], "{unit}");
    }
}

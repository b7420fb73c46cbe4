// SPDX-License-Identifier: GPL-2.0-or-later
//! Slips that would lose changes, each one line that says what holds, and what is said twice.

use crate::config::tests::{read, tmpfs};
use crate::config::{Config, Inputs};
use crate::keys;
use crate::parse::cmdline::Source;

#[test]
fn a_boolean_that_is_not_understood_discards_nothing() {
    for key in ["rd.overlay.reset", "rd.overlay.readonly", "rd.live.overlay.reset", "rd.live.overlay.readonly"] {
        let reads = |value: &str| {
            let (line, conf) =
                (format!("rd.overlay=LABEL=x {key}{value}"), format!("rd.overlay=LABEL=x\n{key}{value}"));
            let [line, conf] = [read(&line, ""), read("", &conf)].map(|config| {
                let told = config.issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                (config.reset.value || config.readonly.value, told)
            });
            assert_eq!((line.0, line.1.is_empty()), (conf.0, conf.1.is_empty()), "{key}{value}");
            line
        };
        for value in ["", "=", "=1", "=yes", "=on", "=true", "=TRUE", "=y"] {
            assert_eq!(reads(value), (true, String::new()), "{key}{value}");
        }
        for value in ["=0", "=no", "=off"] {
            assert_eq!(reads(value), (false, String::new()), "{key}{value}");
        }
        for value in ["=false", "=False", "=No", "=OFF", "=never", "=n", "=flase", "=2", "=00", "=LABEL=x"] {
            let (holds, told) = reads(value);
            assert!(
                !holds && told.contains(&format!("{key}{value} in ")) && told.contains("using the default 0"),
                "{told}"
            );
        }
    }
    assert_eq!(read("rd.overlay rd.overlay.reset=False", "").issues[0].nearest.as_deref(), Some("0"));
}

#[test]
fn what_is_said_twice_names_both() {
    for (line, conf, want) in [
        (
            "rd.overlay=LABEL=x quiet rd.overlay",
            "",
            "rd.overlay in /proc/cmdline overrules rd.overlay=LABEL=x in /proc/cmdline",
        ),
        (
            "rd.overlay=0 rd.overlay=dir:/x",
            "",
            "rd.overlay=dir:/x in /proc/cmdline overrules rd.overlay=0 in /proc/cmdline",
        ),
        (
            "rd.overlay",
            "rd.overlay.timeout=5\nrd.overlay.timeout=6",
            "rd.overlay.timeout=6 in /etc/overlayroot-rs.conf:2 overrules rd.overlay.timeout=5 in /etc/overlayroot-rs.conf:1",
        ),
    ] {
        assert_eq!(read(line, conf).notes, [want], "{line} {conf}");
    }
    for (line, conf) in [("rd.overlay=0 rd.overlay=0", ""), ("rd.overlay=LABEL=x", "rd.overlay=LABEL=y"), ("", "")] {
        assert_eq!(read(line, conf).notes, Vec::<String>::new(), "{line} {conf}");
    }
    let hidden = read("rd.overlay rd.overlay.git=https://me:secret@h/x rd.overlay.git=https://h/y", "");
    assert!(hidden.notes.len() == 1 && !hidden.notes[0].contains("secret"), "{:?}", hidden.notes);
}

#[test]
fn a_mistake_is_one_issue_with_its_source() {
    let config = read("rd.overlay rd.overlay.rest rd.overlay.fallback=hatl", "rd.overlay.timout=1\nfoo");
    let lines: Vec<String> = config.issues.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "rd.overlay.rest in /proc/cmdline: unknown key; did you mean rd.overlay.reset?",
            "rd.overlay.timout=1 in /etc/overlayroot-rs.conf:1: unknown key; did you mean rd.overlay.timeout?",
            "foo in /etc/overlayroot-rs.conf:2: unknown key",
            "rd.overlay.fallback=hatl in /proc/cmdline: not one of tmpfs, ro, none, halt; using the default tmpfs; did you mean halt?",
        ]
    );
}

#[test]
fn a_mistyped_switch_is_not_silence() {
    assert!(read("rd.overlayroot=tmpfs", "").misunderstood());
    assert!(read("overlayroot=tmpsf", "").misunderstood());
    assert!(!read("rd.overlay=0 rd.overlay.rest", "").misunderstood());
    assert!(!read("rd.overlay rd.overlay.rest", "").misunderstood());
}

/// Every way to ask for what stays, and to get it wrong: none becomes RAM without the word that changes are lost.
#[test]
fn a_value_that_is_not_understood_is_never_ram_in_silence() {
    let words = "using RAM, changes will be lost at reboot";
    for value in [
        "persist",
        "label=persist",
        "LABLE=x",
        "crypt:dev=/dev/vdb",
        "vdb",
        "false",
        "LABEL=",
        "/dev/../x",
        "/dev/",
        "part:x,size=4GX",
        "part:",
        "part:x,sise=4G",
        "dir:x",
        "dir:/x,fs=ext4",
        "loop:/x,size=4",
        "loop:/x,dev=x",
        "subvol:",
        "subvol:x,size=1G",
        "part",
        "dir",
        "device:/dev/vdb",
        "disk",
    ] {
        for (cmdline, conf, source) in [
            (format!("quiet rd.overlay={value}"), String::new(), "/proc/cmdline"),
            (String::new(), format!("\nrd.overlay = {value}"), "/etc/overlayroot-rs.conf:2"),
            (format!("rd.overlay rd.live.overlay={value}"), String::new(), "/proc/cmdline"),
        ] {
            let config = read(&cmdline, &conf);
            let told = config.issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert_eq!((config.upper.value, config.issues.len()), (tmpfs(), 1), "{cmdline}{conf}");
            assert!(told.contains(words) && told.contains(source) && told.contains(&format!("={value} in")), "{told}");
        }
        // Under a strict policy no RAM comes of it.
        let config = read(&format!("rd.overlay={value} rd.overlay.fallback=halt"), "");
        assert!(config.issues.len() == 1 && !config.issues[0].text.contains("lost"), "{value}");
    }
    for value in ["device:dev=", "device:", "device:dev=/dev/../x", "device:dev=/dev/"] {
        let config = read(&format!("overlayroot={value}"), "");
        assert!(config.upper.value == tmpfs() && config.issues[0].text.contains(words), "{value} {:?}", config.issues);
    }
    // RAM was asked for, and is not told as a loss.
    for line in ["rd.overlay=tmpfs:size=x", "rd.overlay", "rd.overlay=1", "overlayroot=tmpfs:swap=2"] {
        assert!(read(line, "").issues.iter().all(|issue| !issue.text.contains("lost")), "{line}");
    }
}

#[test]
fn a_blank_beside_the_equals_sign_loses_the_value_and_is_said() {
    let words = "a blank ends the value";
    for line in [
        "rd.overlay = LABEL=x",
        "rd.overlay =LABEL=x",
        "rd.overlay= LABEL=x",
        "rd.overlay= dir:/x",
        "rd.overlay /dev/vdb",
    ] {
        let config = read(&format!("{line} quiet"), "");
        assert_eq!((config.upper.value, config.issues.len()), (tmpfs(), 1), "{line}");
        let told = config.issues[0].to_string();
        assert!(told.contains(words) && told.contains("changes will be lost at reboot"), "{told}");
    }
    let config = read("rd.overlay=LABEL=x rd.overlay.path = persist:/home", "");
    assert!(config.issues[0].to_string().contains("rd.overlay.path in /proc/cmdline: a blank ends"));
    let config = read("rd.overlay rd.overlay.git =https://me:secret@h/x", "");
    assert!(config.issues.len() == 1 && !format!("{:?}", config.issues).contains("secret"), "{:?}", config.issues);
    for line in ["rd.overlay quiet root=LABEL=x", "rd.overlay 1", "rd.overlay single", "rd.overlay= ro", "rd.overlay"] {
        assert_eq!(read(line, "").issues, [], "{line}");
    }
}

#[test]
fn a_path_that_is_not_understood_is_told_with_what_becomes_of_it() {
    let told = |line: &str| read(line, "").issues[0].to_string();
    let lost = "; ignored, changes there will be lost at reboot";
    assert!(told("rd.overlay rd.overlay.path=persit:/home").contains(lost));
    let kept = told("rd.overlay=LABEL=x rd.overlay.path=persit:/home");
    assert!(kept.contains("; left out") && !kept.contains("lost"), "{kept}");
}

/// What `make fuzz` came upon after 781,558 inputs, and its kind: a mistake is one line that can be read, wherever in
/// whatever value something long or something for the terminal stands.
#[test]
fn a_mistake_is_one_short_line_whatever_the_value() {
    for junk in ["x".repeat(3000), "\u{9f}\u{1b}[2J".repeat(500), "ä".repeat(3000)] {
        let forms = [
            "V",
            "V:V",
            "tmpfs:V",
            "tmpfs:size=V",
            "tmpfs:V=V",
            "LABEL=",
            "/dev/../V",
            "dir:V",
            "dir:/V",
            "dir:/x,V",
            "dir:/x,size=V",
            "loop:V",
            "loop:/x,V=V",
            "loop:/x,dev=V",
            "loop:/x,dev=/dev/../V",
            "loop:/x,fs=V",
            "loop:/x,size=V",
            "part:V",
            "part:V,fs=xfs",
            "part:x,V=V",
            "part:x,fs=V",
            "part:x,size=V",
            "subvol:V",
            "subvol:V,V",
        ];
        let mut lines: Vec<String> = forms.iter().map(|form| format!("rd.overlay={form}")).collect();
        for key in keys::KEYS.iter().map(|row| row.name) {
            let forms = ["V", "V:V", "V=V", "/V/", "/V/../V", "persist:V", "persist:/V", "persist:/x,V=V", "V:/V,V"];
            lines.extend(forms.iter().map(|form| format!("{key}={form}")));
            lines.extend(
                ["${V}", "https://h/${V}", "V://V", "https://V,V", "https://h/V#V..V", "x,sha256=V"]
                    .map(|form| format!("{key}={form}")),
            );
            lines.push(format!("{key}V=V"));
        }
        let ubuntu = ["V", "device:V=V,dev=V", "device:dev=/dev/../V", "tmpfs:V=V", "tmpfs:swap=V", "tmpfs:timeout=V"];
        lines.extend(ubuntu.map(|form| format!("overlayroot={form}")));
        for line in lines.iter().map(|line| line.replace('V', &junk)) {
            let ubuntu = vec![Source::new("/etc/overlayroot.conf", line.clone())];
            let conf = vec![Source::new("/etc/overlayroot-rs.conf", line)];
            for issue in Config::read(&Inputs { conf, cmdline: Vec::new(), ubuntu }).issues {
                let told = issue.to_string();
                assert!(told.len() < 2000 && !told.contains(char::is_control), "{} {told}", told.len());
                assert!(issue.text.chars().count() < 500, "{}", issue.text);
            }
        }
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! Which source, name and spelling decides a field (shared reference: dracut-ng 111).
use super::*;
use crate::upper::tmpfs::Tmpfs;
use crate::value::device::Device;

pub(super) fn read(cmdline: &str, conf: &str) -> Config {
    Config::read(&Inputs {
        conf: vec![Source::new("/etc/overlayroot-rs.conf", conf)],
        cmdline: vec![Source::new("/proc/cmdline", cmdline)],
        ubuntu: Vec::new(),
    })
}

fn upper(cmdline: &str) -> Upper {
    read(cmdline, "").upper.value
}

fn label(text: &str) -> Upper {
    Upper::Device(Device::Label(text.into()))
}

pub(super) fn tmpfs() -> Upper {
    Upper::Tmpfs(Tmpfs::default())
}

#[test]
fn the_table_of_dracut_ng_111() {
    let table = [
        ("quiet", Upper::Off),
        ("rd.overlay=0", Upper::Off),
        ("rd.overlay=off rd.live.overlay.overlayfs=1", Upper::Off),
        ("rd.overlay", tmpfs()),
        ("rd.overlay=", tmpfs()),
        ("rd.overlay=1", tmpfs()),
        ("rd.overlay=LABEL=X rd.overlay", tmpfs()),
        ("rd.overlay rd.overlay=LABEL=X", label("X")),
        ("rd.overlay=\"LABEL=my disk\"", label("my disk")),
        ("rd.overlay rd.live.overlay=LABEL=X", label("X")),
        ("rd.overlay=1 rd.live.overlay=LABEL=X", label("X")),
        ("rd.overlay=yes rd.live.overlay=LABEL=X", tmpfs()),
        ("rd.live.overlay=LABEL=X", Upper::Off),
        ("rd.live.overlay.overlayfs", tmpfs()),
        ("rd.live.overlay.overlayfs=1 rd.live.overlay=LABEL=X", label("X")),
        ("rd.overlay.crypt=LABEL=C", Upper::Crypt("LABEL=C".into())),
        ("rd.overlay rd.overlay.crypt=LABEL=C", Upper::Crypt("LABEL=C".into())),
        ("rd.overlay=LABEL=X rd.overlay.crypt=LABEL=C", label("X")),
        ("rd.overlay=0 rd.overlay.crypt=LABEL=C", Upper::Off),
        ("rd.overlay overlayroot=disabled", tmpfs()),
        ("rd.overlay=0 overlayroot=tmpfs", Upper::Off),
        ("overlayroot=tmpfs", tmpfs()),
    ];
    for (cmdline, want) in table {
        assert_eq!(upper(cmdline), want, "{cmdline}");
    }
}

#[test]
fn the_command_line_beats_the_file_key_by_key() {
    let conf = "# a comment\nrd.overlay = \"LABEL=disk\"\nrd.overlay.timeout=5\n";
    let config = read("rd.overlay=tmpfs:size=1G", conf);
    assert_eq!(config.upper.value.to_string(), "tmpfs size=1G,mode=0700");
    assert_eq!(config.timeout.value, 5);
    assert_eq!(config.timeout.origin.to_string(), "rd.overlay.timeout=5 in /etc/overlayroot-rs.conf:3");
    assert_eq!(read("", conf).upper.value, label("disk"));
    assert_eq!(read("rd.live.overlay.overlayfs=0", conf).upper.value, Upper::Off);
}

#[test]
fn both_spellings_of_the_old_readonly_count() {
    for name in ["rd.live.overlay.readonly", "rd.live.overlayfs.readonly"] {
        let config = read(name, "");
        assert!(config.readonly.value && config.notes.len() == 1, "{name}");
    }
}

#[test]
fn a_slip_in_the_key_is_an_issue_and_no_silence() {
    for line in ["rd.overlya=LABEL=x", "rd.ovelay=dir:/x", "rd.overlay_reset", "overlayrot=tmpfs", "rdoverlay=tmpfs"] {
        let config = read(&format!("ro quiet {line} splash"), "");
        assert!(config.misunderstood() && config.issues.len() == 1, "{line}");
        let told = config.issues[0].to_string();
        assert!(told.contains(" in /proc/cmdline: unknown key; did you mean "), "{told}");
    }
    // Ubuntu's word stands on the command line and in its own files.
    let conf = read("", "overlayroot=tmpfs");
    assert_eq!(conf.issues[0].nearest.as_deref(), Some("rd.overlay"));
    // On a live medium the older names are dmsquash-live's.
    let live = read("root=live:/dev/vdb rd.live.overlay.rest rd.live.overlay.reset=1", "");
    assert_eq!(live.issues, []);
    // What was to verify must not be passed over for a slip.
    let config = read("rd.overlay", "rd.overlay.git=https://h/x\nrd.overlya.gti.verfy=/etc/signers");
    assert!(crate::plan::git::asked(&config).unwrap_err().contains("rd.overlay.git.verify"));
}

#[test]
fn bytes_that_are_not_utf8_are_an_issue_not_a_crash() {
    let config = Config::read(&Inputs {
        conf: vec![Source::new("c", b"rd.overlay=LABEL=\xff\nrd.overlay.reset\n".to_vec())],
        cmdline: vec![Source::new("/proc/cmdline", b"rd.overlay=LABEL=\xff\xfe".to_vec())],
        ubuntu: Vec::new(),
    });
    assert_eq!(config.upper.value, tmpfs());
    assert_eq!(config.issues.len(), 2);
    assert!(config.issues.iter().any(|issue| issue.text.contains("changes will be lost at reboot")));
    assert!(config.reset.value);
}

#[test]
fn a_passphrase_is_not_told() {
    let config = read("overlayroot=crypt:pass=secret,dev=vdb,mkfs=0,pass=secret", "");
    let told = format!("{} {} {:?}", config.upper.value, config.upper.origin, config.issues);
    assert!(!told.contains("secret") && told.contains("pass=***"), "{told}");
}

#[test]
fn ubuntus_files_are_data_and_come_last() {
    let mut inputs = Inputs {
        ubuntu: vec![Source::new(
            "/etc/overlayroot.conf",
            "overlayroot_cfgdisk=\"disabled\"\noverlayroot=\"tmpfs:swap=1\" # on\n",
        )],
        ..Inputs::default()
    };
    let config = Config::read(&inputs);
    assert_eq!((config.upper.value, config.swap_off), (tmpfs(), false));
    inputs.ubuntu.push(Source::new("/etc/overlayroot.local.conf", "overlayroot=''\n"));
    assert_eq!(Config::read(&inputs).upper.value, Upper::Off);
    inputs.ubuntu.pop();
    inputs.cmdline = vec![Source::new("/proc/cmdline", "overlayroot=disabled")];
    assert_eq!(Config::read(&inputs).upper.value, Upper::Off);
    inputs.cmdline = vec![Source::new("/proc/cmdline", "rd.overlay.timeout=3 overlayroot=device:dev=vdb,timeout=9")];
    assert_eq!(Config::read(&inputs).timeout.value, 3);
}

proptest::proptest! {
    #[test]
    fn any_bytes_anywhere_give_a_configuration(conf: Vec<u8>, cmdline: Vec<u8>, ubuntu: Vec<u8>) {
        Config::read(&Inputs {
            conf: vec![Source::new("c", conf)],
            cmdline: vec![Source::new("/proc/cmdline", cmdline)],
            ubuntu: vec![Source::new("u", ubuntu)],
        });
    }

    #[test]
    fn no_device_path_ever_leaves_dev(text in "(rd.overlay|overlayroot)=[a-z:=,./\\\\ \"]{0,30}") {
        if let Upper::Device(Device::Path(path)) = upper(&text) {
            proptest::prop_assert!(path.starts_with("/dev/") && !path.split('/').any(|p| p == ".."));
        }
    }
}

#[test]
fn the_levels_of_the_upper() {
    let marks = |cmdline: &str, conf: &str| {
        let config = read(cmdline, conf);
        let marks = config.thresholds();
        (marks.warn, marks.critical, config.issues)
    };
    assert_eq!(marks("rd.overlay", ""), (70, 90, Vec::new()));
    assert_eq!(marks("rd.overlay.watch.warn=50", "rd.overlay.watch.critical=60"), (50, 60, Vec::new()));
    let (warn, critical, issues) = marks("rd.overlay.watch.warn=0 rd.overlay.watch.critical=101", "");
    assert_eq!((warn, critical, issues.len()), (70, 90, 2));
    // One that contradicts the other's default is one mistake, and neither holds.
    let (warn, critical, issues) = marks("rd.overlay.watch.warn=95", "");
    assert_eq!((warn, critical, issues.len()), (70, 90, 1));
    assert_eq!(
        issues[0].to_string(),
        "rd.overlay.watch.warn=95 in /proc/cmdline: not below rd.overlay.watch.critical, 90; the defaults 70 and 90 hold"
    );
    let (warn, critical, issues) = marks("", "rd.overlay.watch.critical=70");
    assert_eq!((warn, critical, issues.len()), (70, 90, 1));
    assert_eq!(issues[0].key, "rd.overlay.watch.critical");
    let (_, _, issues) = marks("rd.overlay.watch.warn=80", "rd.overlay.watch.critical=80");
    assert_eq!((issues.len(), issues[0].key.as_str()), (1, "rd.overlay.watch.warn"));
}

#[test]
fn the_textfile() {
    let config = read("", "rd.overlay.watch.textfile = /run/node/overlay root.prom");
    assert_eq!(config.watch_textfile.value.as_deref(), Some("/run/node/overlay root.prom"));
    let config = read("rd.overlay.watch.textfile=here.prom", "");
    assert_eq!((config.watch_textfile.value, config.issues.len()), (None, 1));
}

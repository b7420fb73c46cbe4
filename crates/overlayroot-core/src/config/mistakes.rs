// SPDX-License-Identifier: GPL-2.0-or-later
//! Slips that would lose changes, and what is said twice.

use crate::config::tests::read;

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

// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl pull` with a real git: who signed it, what runs, in which order, and what is told.
use overlayroot_rootns::forge::{FILE, Forge};
use overlayroot_rootns::pulling::{DIR, STATE, conf, fails, pulls, ran, said};
use overlayroot_rootns::{Stage, on_stage, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

const WANTED: &str = "/run/systemd/system/multi-user.target.wants/overlayroot-rs-pull.service";

/// Two scripts, and what is none though it lies beside them.
fn commit_of_scripts(forge: &Forge) -> String {
    forge.script("9-last", "");
    forge.script(
        "10-first",
        "[ $# = 0 ] && pwd > /pwd && env | grep ^OVERLAYROOT_ | sort > /env; cat > /in; umask >> /pwd",
    );
    forge.file("overlayroot.d/20-plain", 0o644, "#!/bin/sh\necho 20 >> /ran\n");
    forge.file("overlayroot.d/30-directory/x", 0o755, "#!/bin/sh\necho 30 >> /ran\n");
    symlink("10-first", "/run/forge/work/overlayroot.d/40-link").unwrap();
    forge.script(".hidden", "");
    forge.commit(None)
}

#[test]
fn from_the_command_line_of_the_boot_to_the_status() {
    on_stage("pull", |stage| {
        let record = stage.assemble(&format!(
            "rd.overlay rd.overlay.hostname=n7 rd.overlay.git={FILE}#v1 rd.overlay.git.verify=/etc/signers"
        ));
        assert_eq!(
            (&record["outcome"], &record["requested"]["git"]),
            (&"applied".into(), &format!("{FILE}#v1").into())
        );
        assert_eq!(
            fs::read_link(WANTED).unwrap().to_str(),
            Some("/usr/lib/systemd/system/overlayroot-rs-pull.service")
        );
        let status = said(&stage.overlayctl_inside(&["status"]));
        assert!(status.contains(&format!("pull  {FILE}#v1: not yet")), "{status}");
        let forge = Forge::new();
        let commit = commit_of_scripts(&forge);
        forge.tag("v1", Some("ops"));
        forge.script("99-later", "");
        forge.commit(Some("other"));
        let state = pulls(stage);
        assert_eq!(ran(), ["10-first", "9-last"]);
        assert_eq!((&state["commit"], &state["tries"]), (&commit.as_str().into(), &1.into()));
        assert!(state["verified_by"].as_str().unwrap().starts_with("ops@x (ED25519 key SHA256:"), "{state:#}");
        let scripts = state["scripts"].as_array().unwrap().iter();
        let words: Vec<String> =
            scripts.map(|script| format!("{} {} {}", script["name"], script["result"], script["status"])).collect();
        assert_eq!(
            words.join("\n").replace('"', ""),
            "10-first done 0\n20-plain left-out null\n30-directory left-out null\n40-link left-out null\n9-last done 0"
        );
        assert_eq!(fs::read_to_string("/sysroot/pwd").unwrap(), "/var/lib/overlayroot-rs/pull/1\n0022\n");
        let want = format!(
            "OVERLAYROOT_COMMIT={commit}\nOVERLAYROOT_HOSTNAME=n7\nOVERLAYROOT_REF=v1\nOVERLAYROOT_URL={FILE}\n"
        );
        assert_eq!(fs::read_to_string("/sysroot/env").unwrap(), want);
        let status = stage.overlayctl_inside(&["status"]);
        assert!(said(&status).contains(&format!("pull  {FILE}#v1 at {}, signed by ops@x", &commit[..12])));
        assert_eq!(status.status.code(), Some(0));
        let json: Value = serde_json::from_slice(&stage.overlayctl_inside(&["status", "--json"]).stdout).unwrap();
        assert_eq!(json["pull"], state);
        // A file of the root can ask for another repository, but not take back what the boot wants verified.
        conf(&format!("rd.overlay.git={FILE}\n"));
        fails(stage, "not-signed");
        assert_eq!(ran().len(), 2);
    });
}

/// The root's configuration asks for this, and wants it signed.
fn asked(reference: &str) {
    conf(&format!("rd.overlay.git={FILE}{reference}\nrd.overlay.git.verify=/etc/signers\n"));
}

#[test]
fn signatures() {
    on_stage("signed", |stage| {
        stage.assemble("rd.overlay");
        let forge = Forge::new();
        forge.script("1", "");
        let unsigned = forge.commit(None);
        asked("");
        fails(stage, "not-signed");
        asked(&format!("#{unsigned}"));
        fails(stage, "not-signed");
        forge.tag("unsigned-of-unsigned", None);
        forge.tag("signed-of-unsigned", Some("ops"));
        forge.tag("other-of-unsigned", Some("other"));
        let signed = forge.commit(Some("ops"));
        forge.tag("unsigned-of-signed", None);
        forge.tag("other-of-signed", Some("other"));
        forge.git(None, &["tag", "light"]);
        // The server gives an older tag of the right signer another name.
        forge.git(None, &["update-ref", "refs/tags/v2", "refs/tags/signed-of-unsigned"]);
        forge.git(None, &["branch", "named"]);
        forge.commit(Some("other"));
        // A name that may be a tag must be one that is signed: whoever has the server puts a branch or a lightweight
        // tag on any commit that a signer ever signed.
        forge.git(None, &["update-ref", "refs/heads/v3", "HEAD~1"]);
        forge.publish();
        none_of_these_is_signed(stage);
        assert!(fails(stage, "not-signed")["reason"]["text"].as_str().unwrap().contains("No principal matched"));
        assert!(ran().is_empty() && fs::read_dir(DIR).unwrap().count() == 0, "something was left, or ran");
        for reference in ["signed-of-unsigned", "refs/tags/signed-of-unsigned", signed.as_str(), "refs/heads/named"] {
            asked(&format!("#{reference}"));
            assert!(pulls(stage)["verified_by"].is_string(), "{reference}");
        }
        assert_eq!(ran().len(), 4);
        fs::remove_file("/sysroot/etc/signers").unwrap();
        let state = fails(stage, "lacking");
        assert!(state["reason"]["text"].as_str().unwrap().contains("/etc/signers") && state["tries"] == 0);
        // A key that is mistyped never makes it run unverified.
        conf(&format!("rd.overlay.git={FILE}\nrd.overlay.git.verfy=/etc/signers\n"));
        fails(stage, "mistakes");
        assert_eq!(ran().len(), 4);
        assert!(said(&stage.overlayctl_inside(&["status"])).contains("failed (mistakes)"));
    });
}

/// Each by what it is, or by who signed it.
fn none_of_these_is_signed(stage: &Stage) {
    for (reference, why) in [
        ("light", "refs/tags/light is a lightweight tag"),
        ("refs/tags/light", "refs/tags/light is a lightweight tag"),
        ("named", "named is a branch"),
        ("v3", "#refs/heads/v3"),
    ] {
        asked(&format!("#{reference}"));
        let state = fails(stage, "not-signed");
        let text = state["reason"]["text"].as_str().unwrap();
        assert!(text.contains(why) && state["verified_by"].is_null(), "{reference}: {text}");
    }
    let nodes = [
        "unsigned-of-unsigned",
        "other-of-unsigned",
        "unsigned-of-signed",
        "other-of-signed",
        "v2",
        "refs/tags/v2",
        "refs/heads/main",
    ];
    for reference in nodes {
        asked(&format!("#{reference}"));
        let state = fails(stage, "not-signed");
        assert!(state["verified_by"].is_null() && state["scripts"] == Value::Array(vec![]), "{state:#}");
    }
}

#[test]
fn the_first_that_fails_ends_it_and_the_last_good_one_stays() {
    on_stage("fails", |stage| {
        stage.assemble("rd.overlay");
        conf(&format!("rd.overlay.git={FILE}\n"));
        let forge = Forge::new();
        forge.script("1", "");
        let first = forge.commit(None);
        pulls(stage);
        pulls(stage);
        let link = |name: &str| fs::read_link(format!("{DIR}/{name}")).unwrap().to_str().unwrap().to_owned();
        assert_eq!((ran().len(), link("current"), link("good")), (2, "2".into(), "2".into()));
        assert!(!fs::exists(format!("{DIR}/1")).unwrap(), "the older one is still there");
        assert_eq!(fs::metadata(DIR).unwrap().permissions().mode() & 0o777, 0o700);
        forge.script("2", "exit 7");
        forge.script("3", "");
        forge.commit(None);
        let state = fails(stage, "script");
        assert_eq!(ran()[2..], ["1", "2"]);
        assert_eq!((&state["scripts"][1]["status"], &state["scripts"][2]["result"]), (&7.into(), &"not-run".into()));
        assert_eq!((link("current"), link("good")), ("3".into(), "2".into()));
        let head = run("git", &["-C", &format!("{DIR}/good"), "rev-parse", "HEAD"]);
        assert_eq!(head.trim(), first);
        let status = stage.overlayctl_inside(&["status"]);
        assert!(said(&status).contains("failed (script), overlayroot.d/2: exit status 7"), "{}", said(&status));
        assert_eq!(status.status.code(), Some(1));
        for (more, text) in [("kill -9 $$", "killed by signal 9"), ("exit 0", "")] {
            forge.script("2", more);
            forge.commit(None);
            let output = stage.overlayctl_inside(&["pull"]);
            assert!(said(&output).contains(text) && output.status.success() == text.is_empty(), "{}", said(&output));
        }
        // What nobody can execute is not given to a shell.
        forge.file("overlayroot.d/2", 0o755, "echo 2 >> /ran\n");
        forge.commit(None);
        let before = ran();
        assert!(fails(stage, "script")["reason"]["text"].as_str().unwrap().contains("it can't be run"));
        assert_eq!(ran()[before.len()..], ["1"]);
    });
}

#[test]
fn only_on_an_overlay() {
    on_stage("plain", |stage| {
        // Nobody asks: neither a link nor a pull.
        stage.assemble("rd.overlay");
        assert!(!fs::exists(WANTED).unwrap());
        let output = stage.overlayctl_inside(&["pull"]);
        assert!(output.status.code() == Some(1) && said(&output).contains("no repository is configured"));
        assert!(!fs::exists(STATE).unwrap() && !said(&stage.overlayctl_inside(&["status"])).contains("pull"));
        // Degraded, but an overlay.
        stage.reboot();
        let record = stage.assemble(&format!("rd.overlay=LABEL=none rd.overlay.timeout=0 rd.overlay.git={FILE}"));
        assert_eq!(record["outcome"], "degraded");
        assert!(fs::symlink_metadata(WANTED).is_ok());
        let forge = Forge::new();
        forge.script("1", "");
        forge.commit(None);
        let state = pulls(stage);
        let note = state["notes"][0].as_str().unwrap();
        assert!(note.contains("the overlay is degraded: LABEL=none not found"), "{note}");
        // None.
        stage.reboot();
        stage.mount_root("rw");
        let key = format!("rd.overlay.git={FILE}");
        let record =
            stage.assemble(&format!("rd.overlay=LABEL=none rd.overlay.timeout=0 rd.overlay.fallback=none {key}"));
        assert_eq!(record["effective"]["root"], "plain");
        assert!(!fs::exists(WANTED).unwrap());
        assert!(said(&stage.overlayctl_inside(&["status"])).contains("not on a plain root"));
        fails(stage, "no-overlay");
        let forge = Forge::new();
        forge.script("1", "");
        forge.commit(None);
        let output = stage.overlayctl_inside(&["pull", "--plain-root"]);
        assert!(output.status.success() && ran() == ["1"], "{}", said(&output));
    });
}

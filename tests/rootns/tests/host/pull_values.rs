// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl pull`: which commit a reference names, and that a value is never more than a value.
use overlayroot_core::feature::git::check_ref;
use overlayroot_rootns::forge::{FILE, Forge};
use overlayroot_rootns::pulling::{DIR, STATE, conf, fails, pulls};
use overlayroot_rootns::{on_stage, run};
use std::fs;
use std::process::Command;

#[test]
fn references_of_all_kinds() {
    on_stage("refs", |stage| {
        stage.assemble("rd.overlay");
        let forge = Forge::new();
        forge.script("1", "");
        let first = forge.commit(None);
        forge.git(None, &["tag", "both"]);
        let second = forge.commit(None);
        forge.git(None, &["branch", "both"]);
        forge.git(None, &["branch", "nodes/n7"]);
        forge.git(None, &["tag", "-a", "-m", "x", "of-blob", &forge.git(None, &["rev-parse", "HEAD:overlayroot.d/1"])]);
        forge.publish();
        let asked = |reference: &str| conf(&format!("rd.overlay.git={FILE}{reference}\n"));
        for (reference, want) in [
            ("", &second),
            ("#HEAD", &second),
            ("#main", &second),
            ("#nodes/n7", &second),
            ("#both", &first),
            ("#refs/heads/both", &second),
            (&format!("#{first}"), &first),
            (&format!("#{}", first.to_uppercase()), &first),
        ] {
            asked(reference);
            assert_eq!(pulls(stage)["commit"], want.as_str(), "{reference}");
        }
        let depth = run("git", &["-C", &format!("{DIR}/current"), "rev-list", "--count", "HEAD"]);
        assert_eq!(depth.trim(), "1", "more was fetched than is needed");
        // A repository of the other kind of ids.
        let new = "/run/forge/new";
        forge.git(None, &["init", "-q", "--object-format=sha256", "-b", "main", new]);
        forge.git(None, &["-C", new, "commit", "-q", "--allow-empty", "-m", "x"]);
        let id = forge.git(None, &["-C", new, "rev-parse", "HEAD"]);
        for reference in ["main", &id] {
            conf(&format!("rd.overlay.git=file://{new}#{reference}\n"));
            assert_eq!((pulls(stage)["commit"].as_str(), id.len()), (Some(id.as_str()), 64));
        }
        for reference in ["#n7", "#nosuch", &format!("#{}", "0".repeat(40)), &format!("#{}", &first[..12]), "#of-blob"]
        {
            asked(reference);
            assert_eq!(fails(stage, "no-such-ref")["tries"], 1, "{reference}");
        }
        conf("rd.overlay.git=file:///run/forge/nosuch.git\n");
        assert_eq!(fails(stage, "unreachable")["tries"], 1);
        // What the grammar refuses is not given to git at all.
        for value in ["ext::sh -c touch% /pwned", "https://u:secret@h/x", "file:///run/forge/nodes.git#--upload-pack=x"]
        {
            conf(&format!("rd.overlay.git={value}\n"));
            fails(stage, "mistakes");
            assert!(!fs::read_to_string(STATE).unwrap().contains("secret"));
        }
        assert!(!fs::exists("/sysroot/pwned").unwrap());
    });
}

#[test]
fn git_takes_every_name_that_is_taken_here() {
    let alphabet =
        ["a", ".", "/", "-", "@", "{", "*", " ", "~", "^", ":", "?", "\\", "[", "+", "\u{7f}", "\t", "é", "lock"];
    let pairs = alphabet.iter().flat_map(|a| alphabet.iter().map(move |b| format!("{a}{b}")));
    let more = ["a.lock", "a.lock/b", "a/.b", "a..b", "a@{b", "a//b", "a/b", "refs/heads/x", "@", "a"];
    for name in pairs.chain(more.map(str::to_owned)) {
        let git = Command::new("git").args(["check-ref-format", &format!("refs/heads/{name}")]).status().unwrap();
        assert!(check_ref(&name).is_err() || git.success(), "git does not take {name:?}");
        // "+" would be part of a refspec, "-" an option, "@" is HEAD.
        let own = name.starts_with(['+', '-']) || name == "@";
        assert!(check_ref(&name).is_ok() || !git.success() || own, "git takes {name:?}");
    }
}

#[test]
fn values_are_never_more_than_values() {
    on_stage("quoted", |stage| {
        stage.assemble("rd.overlay");
        let forge = Forge::new();
        forge.script("1", "printf '%s\\n' \"$OVERLAYROOT_HOSTNAME\" \"$OVERLAYROOT_URL\" > /values");
        forge.commit(None);
        let hostile = "$(touch pwned);`touch pwned`'\"|-x";
        fs::rename("/run/forge/nodes.git", format!("/run/forge/{hostile}.git")).unwrap();
        nix::unistd::sethostname(hostile).unwrap();
        conf("rd.overlay.git=file:///run/forge/${hostname}.git\n");
        let state = pulls(stage);
        let values = fs::read_to_string("/sysroot/values").unwrap();
        assert_eq!(values, format!("{hostile}\n{}\n", state["url"].as_str().unwrap()));
        assert!(state["url"].as_str().unwrap().starts_with("file:///run/forge/%24%28touch"));
        conf("rd.overlay.git=file:///run/forge/x.git#${hostname}\n");
        fails(stage, "value");
        let found = run("find", &["/sysroot", "/run/forge", "-xdev", "-name", "pwned"]);
        assert!(found.is_empty(), "{found}");
    });
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! JSON as docs/reference/schema has it.

use crate::{schema, text};
use std::fs;

#[test]
fn json_as_the_schemas_have_it() {
    for cmdline in [
        "",
        "rd.overlay",
        "rd.overlay=LABEL=nowhere rd.overlay.timeout=0 rd.overlay.timeout=1",
        "rd.overlay=loop:/var/no.img,size=64M rd.overlay.rest",
        "rd.overlay=dir:/var/no/upper rd.overlay.fallback=hatl",
        "overlayroot=tmpfs",
    ] {
        schema::holds("plan", &text(&["plan", "--json", "--cmdline", cmdline]));
        schema::holds("config", &text(&["config", "--json", "--cmdline", cmdline]));
        schema::holds("explain", &text(&["explain", "--json", "overlay", "--cmdline", cmdline]));
    }
    let value = schema::holds("explain", &text(&["explain", "--json", "overlay=dir:/x,size=2G"]));
    assert_eq!(value["value"]["parts"][2]["part"], "size=2G", "{value:#}");
    schema::holds("explain", &text(&["explain", "--json", "path"]));
    schema::holds("doctor", &text(&["doctor", "--json", "--cmdline", "rd.overlay=tmpfs:size=0"]));
    schema::holds("status", &text(&["status", "--json"]));
    schema::holds("next-boot", &text(&["is-enabled", "--json"]));
    schema::holds("plan", &text(&["plan", "--json"]));
    schema::holds("loop-check", &text(&["loop", "check", "--json", "/var/no.img"]));
}

/// Each string of a JSON value.
fn strings(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => found.push(text.clone()),
        serde_json::Value::Array(all) => all.iter().for_each(|value| strings(value, found)),
        serde_json::Value::Object(all) => all.values().for_each(|value| strings(value, found)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

/// Columns are for people: no string of JSON is filled up with blanks, or has a column of another's.
#[test]
fn no_string_of_json_is_padded() {
    let cmdline = "rd.overlay=LABEL=nowhere rd.overlay.timeout=0 rd.overlay.rest rd.overlay.path=volatile:/var/cache";
    for args in [
        &["plan", "--json", "--cmdline", cmdline][..],
        &["plan", "--json", "--cmdline", "rd.overlay rd.overlay.path=volatile:/var/cache"],
        &["doctor", "--json", "--cmdline", cmdline],
        &["config", "--json", "--cmdline", cmdline],
        &["explain", "--json", "overlay=dir:/x,size=2G"],
        &["explain", "--json", "path"],
        &["status", "--json"],
        &["is-enabled", "--json"],
        &["loop", "check", "--json", "/var/no.img"],
    ] {
        let (mut found, said) = (Vec::new(), text(args));
        strings(&serde_json::from_str(&said).unwrap_or_else(|error| panic!("{args:?}: {error}: {said}")), &mut found);
        assert!(found.len() > 1, "{args:?}: {said}");
        for text in found {
            assert!(!text.contains("  ") && text.trim() == text, "{args:?}: {text:?}");
        }
    }
}

#[test]
fn json_about_another_tree() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().to_str().unwrap();
    fs::create_dir_all(root.path().join("etc/default/grub.d")).unwrap();
    fs::create_dir_all(root.path().join("boot/grub")).unwrap();
    fs::write(root.path().join("etc/default/grub"), "GRUB_CMDLINE_LINUX=\"quiet\"\n").unwrap();
    fs::write(root.path().join("etc/overlayroot.conf"), "overlayroot=\"tmpfs:recurse=1\"\n").unwrap();
    let loader = ["--boot-loader", "grub.d", "--root", at, "--dry-run", "--json"];
    let enabled = schema::holds("enable", &text(&[&["enable", "rd.overlay=tmpfs"][..], &loader].concat()));
    assert_eq!((&enabled["done"], &enabled["edits"][0]["what"]), (&false.into(), &"made".into()), "{enabled}");
    schema::holds("enable", &text(&[&["disable"][..], &loader].concat()));
    let found = schema::holds("migrate", &text(&["migrate", "--json", "--root", at]));
    assert_eq!(found["found"], serde_json::json!(["ubuntu"]), "{found}");
}

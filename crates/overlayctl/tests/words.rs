// SPDX-License-Identifier: GPL-2.0-or-later
//! The program as it is run: exit codes, readers that go away, JSON as docs/reference/schema has it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../../tests/rootns/src/schema.rs"]
mod schema;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn overlayctl(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_overlayctl")).args(args).output().unwrap()
}

fn code(args: &[&str]) -> i32 {
    overlayctl(args).status.code().unwrap()
}

fn text(args: &[&str]) -> String {
    String::from_utf8(overlayctl(args).stdout).unwrap()
}

#[test]
fn codes_that_hang_on_no_machine() {
    for (args, want) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["keys"], 0),
        (&["keys", "--no-pager"], 0),
        (&["explain", "stale"], 0),
        (&["completions", "fish"], 0),
        (&["config", "--cmdline", "rd.overlay"], 0),
        (&["config", "--cmdline", "rd.overlay.rest"], 1),
        (&["explain", "xyzzy"], 1),
        (&["explain", "rd.overlay=dir:/x,size=2G"], 0),
        (&["explain", "rd.overlay=dir:/x,sise=2G"], 1),
        (&[], 64),
        (&["nonsense"], 64),
        (&["keys", "--nonsense"], 64),
        (&["completions", "cmd.exe"], 64),
        // The machine that builds has no overlay of ours, and whoever tests may not be root.
        (&["shell", "--", "true"], 125),
    ] {
        assert_eq!(code(args), want, "{args:?}");
    }
}

#[test]
fn every_code_stands_in_the_manual() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/man/overlayctl.8"))
        .unwrap();
    let (_, table) = page.split_once(".SH EXIT STATUS").unwrap();
    let (table, _) = table.split_once("\n.SH ").unwrap();
    for code in ["0", "1", "2", "3", "64", "125", "126", "127", "141"] {
        assert!(table.contains(&format!("\n.B {code}\n")), "EXIT STATUS lacks {code}");
    }
    let help = text(&["--help"]);
    let (verbs, _) = help.split_once("Options:\n").unwrap();
    let verbs = verbs.lines();
    // What is wrapped stands further in.
    let verbs = verbs.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let page = page.replace("\\-", "-");
    assert!(verbs.clone().count() > 20, "{help}");
    for verb in verbs.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help") {
        let named = [format!("overlayctl {verb}"), format!("overlayctl {verb}\"")];
        assert!(named.iter().any(|name| page.contains(name.as_str())), "the manual lacks overlayctl {verb}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    for args in [&["keys"][..], &["explain", "overlay"], &["completions", "bash"], &["config"]] {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        let mut child = Command::new(env!("CARGO_BIN_EXE_overlayctl"))
            .args(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(141), ""), "{args:?}");
    }
}

#[test]
fn no_pager_where_there_is_no_terminal() {
    let output = Command::new(env!("CARGO_BIN_EXE_overlayctl"))
        .arg("keys")
        .env("OVERLAYCTL_PAGER", "echo paged; cat >/dev/null")
        .env("TERM", "xterm")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("rd.overlay=") && !said.contains("paged") && !said.contains('\u{1b}'), "{said}");
}

/// What the program prints where stdout is a terminal.
fn on_a_terminal(args: &[&str]) -> String {
    on_such_a_terminal(args, &[("OVERLAYCTL_PAGER", "echo paged; cat")])
}

/// With stderr there, too.
fn on_such_a_terminal(args: &[&str], variables: &[(&str, &str)]) -> String {
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_overlayctl"))
        .args(args)
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stderr(pty.slave.try_clone().unwrap())
        .stdout(pty.slave)
        .spawn()
        .unwrap();
    let (mut said, mut part, mut terminal) = (Vec::new(), [0; 4096], fs::File::from(pty.master));
    // Where nobody has the other end any more, reading fails.
    while let Ok(count @ 1..) = terminal.read(&mut part) {
        said.extend_from_slice(&part[..count]);
    }
    child.wait().unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn a_pager_on_a_terminal_and_its_text_in_colour() {
    let said = on_a_terminal(&["explain", "stale"]);
    assert!(said.starts_with("paged") && said.contains("\u{1b}[1mrd.overlay.stale"), "{said:?}");
    for quiet in [&["--no-pager", "keys"][..], &["completions", "fish"], &["config", "--json"]] {
        let said = on_a_terminal(quiet);
        assert!(!said.contains("paged") && said.len() > 200, "{quiet:?}: {said:?}");
    }
}

/// What stands on a terminal of so many columns; errors go elsewhere.
fn on_columns(columns: u16, pager: &str, args: &[&str]) -> String {
    let size = nix::pty::Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(Some(&size), None).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_overlayctl"))
        .args(args)
        .envs([("TERM", "xterm"), ("NO_COLOR", "1"), ("OVERLAYCTL_PAGER", pager)])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(pty.slave)
        .spawn()
        .unwrap();
    let (mut said, mut part, mut terminal) = (Vec::new(), [0; 4096], fs::File::from(pty.master));
    while let Ok(count @ 1..) = terminal.read(&mut part) {
        said.extend_from_slice(&part[..count]);
    }
    child.wait().unwrap();
    String::from_utf8_lossy(&said).replace("\r\n", "\n")
}

#[test]
fn prose_fits_the_terminal_and_a_pipe_has_it_whole() {
    for args in [
        &["doctor", "--cmdline", "rd.overlay=LABEL=nowhere"][..],
        &["explain", "stale"],
        &["explain", "rd.overlay=dir:/x,size=2G"],
        &["status"],
    ] {
        let said = on_columns(60, "", args);
        let (long, piped) = (said.lines().count(), text(args));
        for line in said.lines() {
            // A word that is longer stays whole.
            let without_last = line.rsplit_once(' ').map_or("", |(rest, _)| rest.trim_end());
            assert!(line.chars().count() <= 60 || without_last.trim().len() < 30, "{args:?}: {line:?}");
        }
        assert!(long > piped.lines().count(), "{args:?}: {said}{piped}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&said), words(&piped), "{args:?}");
    }
    // With a pager, too, which has a pipe.
    assert_eq!(on_columns(60, "cat -", &["explain", "stale"]), on_columns(60, "", &["explain", "stale"]));
}

#[test]
fn ascii_where_the_locale_is_not_utf_8() {
    let said = |locale: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overlayctl"));
        let output = command.args(args).env("LC_ALL", locale).output().unwrap();
        [output.stdout, output.stderr].concat()
    };
    for args in [&["status"][..], &["doctor"], &["keys"], &["--help"], &["explain", "overlay"], &["diff", "--help"]] {
        let text = said("C", args);
        assert!(text.is_ascii(), "{args:?}: {}", String::from_utf8_lossy(&text));
    }
    assert!(said("C", &["status"]).starts_with(b"* overlay root"));
    assert!(said("C.UTF-8", &["status"]).starts_with("\u{25cf} overlay root".as_bytes()));
}

/// Clears the screen, sets the title, types into the shell: in 7 bits and in 8.
const HOSTILE: &str = "x\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}6n\ry";

#[test]
fn nothing_from_files_names_or_arguments_steers_the_terminal() {
    let tree = tempfile::tempdir().unwrap();
    let at = |name: &str| tree.path().join(name).to_str().unwrap().to_owned();
    for directory in ["lower", "upper", "host/etc/default"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    fs::write(at("lower/text"), format!("a\n{HOSTILE} was\n")).unwrap();
    fs::write(at("upper/text"), format!("a\n\t{HOSTILE}\u{1b}[31m now")).unwrap();
    fs::write(at(&format!("upper/{HOSTILE}")), HOSTILE).unwrap();
    fs::write(at("host/etc/overlayroot.conf"), format!("overlayroot=\"tmpfs:{HOSTILE}=1\"\n{HOSTILE}=2\n")).unwrap();
    fs::write(at("host/etc/default/grub"), format!("GRUB_CMDLINE_LINUX=\"overlayroot={HOSTILE}\"\n")).unwrap();
    let (upper, lower) = (format!("--upperdir={}", at("upper")), format!("--lowerdir={}", at("lower")));
    let layers = [upper.as_str(), lower.as_str()];
    let mut all: Vec<Vec<String>> = Vec::new();
    let mut with =
        |args: &[&str], more: &[&str]| all.push([args, more].concat().iter().map(|s| s.to_string()).collect());
    for form in [&["-p"][..], &["--stat", "--depth=0"], &["--name-only"], &["--name-only", "-z"], &["--json"], &[]] {
        with(&["diff"], &[form, &layers].concat());
    }
    with(&["diff", HOSTILE], &layers);
    with(&["du", "--files=9"], &layers[..1]);
    let cmdline = format!(
        "rd.overlay=LABEL={HOSTILE} rd.overlay.{HOSTILE}=1 rd.overlay.path=persist:/{HOSTILE} rd.overlay.timeout={HOSTILE} \
         rd.overlay.git=https://h/{HOSTILE} rd.overlay.populate={HOSTILE} rd.overlay.watch.textfile=/{HOSTILE}"
    );
    for verb in [&["plan"][..], &["doctor"], &["config"], &["explain", "overlay"]] {
        with(verb, &["--cmdline", &cmdline]);
        with(verb, &["--cmdline", &cmdline, "--json"]);
    }
    with(&["explain", HOSTILE], &[]);
    with(&["explain", &format!("rd.overlay={HOSTILE}")], &[]);
    with(&["explain", &format!("path=persist:/{HOSTILE}"), "--json"], &[]);
    with(&["loop", "check"], &[&format!("/{HOSTILE}")]);
    with(&["migrate", "--root"], &[&at("host")]);
    with(&["uppers", "restore", HOSTILE], &[]);
    with(&["stale", "--upper", HOSTILE], &[]);
    let terminals = [
        &[("OVERLAYCTL_PAGER", "cat")][..],
        &[("OVERLAYCTL_PAGER", "cat -")],
        &[("NO_COLOR", "1"), ("OVERLAYCTL_PAGER", "cat")],
    ];
    for (args, variables) in all.iter().flat_map(|args| terminals.map(|variables| (args, variables))) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut said = on_such_a_terminal(&args, variables).replace("\r\n", "\n");
        assert!(!said.is_empty(), "{args:?}");
        for colour in (0..=2).chain(30..=37).chain(90..=97) {
            said = said.replace(&format!("\u{1b}[{colour}m"), "");
        }
        let null = args.contains(&"-z");
        let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t') && !(null && c == '\0');
        assert!(!said.contains(steers), "{args:?} with {variables:?}: {said:?}");
    }
    // Who reads bytes gets them.
    let output = overlayctl(&[&["diff", "-p"][..], &layers].concat());
    assert!(String::from_utf8(output.stdout).unwrap().contains(&format!("+\t{HOSTILE}\u{1b}[31m now\n")));
    let output = overlayctl(&[&["diff", "--name-only", "-z"][..], &layers].concat());
    assert!(String::from_utf8(output.stdout).unwrap().contains(&format!("/{HOSTILE}\0")));
}

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

#[test]
fn explain_tells_meaning_value_and_who_said_so() {
    let said = text(&["explain", "timeout", "--cmdline", "rd.overlay.timeout=5 rd.overlay.timeout=8"]);
    for want in [
        "rd.overlay.timeout=SECONDS",
        "Default: 30.",
        "here: 8 (rd.overlay.timeout=8 in /proc/cmdline)",
        "also rd.overlay.timeout=5 in /proc/cmdline: rd.overlay.timeout=8 in /proc/cmdline decides",
    ] {
        assert!(said.contains(want), "{want} in {said}");
    }
    let error = String::from_utf8(overlayctl(&["explain", "tiemout"]).stderr).unwrap();
    assert!(error.contains("did you mean rd.overlay.timeout?"), "{error}");
}

/// An initramfs, as this lsinitrd lists and prints it.
const LSINITRD: &str = r#"#!/bin/sh
if [ "$1" = -f ]; then echo 'rd.overlay=tmpfs'; exit; fi
i=0; while [ $i -lt 30 ]; do echo "-rw-r--r-- 1 root root 0 Jan 1 1970 usr/lib/file$i"; i=$((i+1)); done
grep -q module "$1" && echo '-rwxr-xr-x 1 root root 9 Jan 1 1970 usr/bin/overlay-assemble'
grep -q conf "$1" && echo '-rw-r--r-- 1 root root 9 Jan 1 1970 etc/overlayroot-rs.conf'
exit 0
"#;

/// One tree, one answer: of is-enabled, enable and disable, by their words and exit statuses.
#[test]
fn the_next_boot_has_one_answer() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("bin")).unwrap();
    fs::write(at("bin/lsinitrd"), LSINITRD).unwrap();
    fs::set_permissions(at("bin/lsinitrd"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(at("root/boot/extlinux")).unwrap();
    let menu = |line: &str| {
        let text = format!("label l0\n\tlinux /boot/vmlinuz\n\tinitrd /boot/initrd.img\n\tappend root=x ro {line}\n");
        fs::write(at("root/boot/extlinux/extlinux.conf"), text).unwrap();
    };
    let image = |holds: &str| fs::write(at("root/boot/initrd.img"), holds).unwrap();
    let run = |args: &[&str]| {
        let path = format!("{}:/usr/bin:/bin", at("bin").display());
        let root = ["--root", dir.path().join("root").to_str().unwrap()].map(str::to_owned);
        let output =
            Command::new(env!("CARGO_BIN_EXE_overlayctl")).args(args).args(root).env("PATH", path).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    for (line, holds, word) in [
        ("quiet", "module", "disabled"),
        ("rd.overlay", "module", "enabled"),
        ("rd.overlay", "nothing", "disabled"),
        ("quiet", "module conf", "enabled"),
        ("rd.overlay=0", "module conf", "disabled"),
        ("overlayroot=tmpfs", "module", "enabled"),
        ("rd.live.overlay.overlayfs", "module", "enabled"),
    ] {
        menu(line);
        image(holds);
        assert_eq!(run(&["is-enabled"]), (i32::from(word != "enabled"), format!("{word}\n")), "{line}, {holds}");
        let found = schema::holds("next-boot", &run(&["is-enabled", "--json"]).1);
        assert_eq!((&found["state"], &found["module"]), (&word.into(), &holds.contains("module").into()), "{line}");
        let (code, said) = run(&["disable"]);
        let stays = line.contains("overlayroot") || line.contains("live") || holds.contains("conf");
        assert_eq!(code, i32::from(stays), "{line}, {holds}: {said}");
        let last = said.lines().find(|line| line.contains("next boot:")).unwrap();
        assert!(last.starts_with(if stays { "NOT disabled" } else { "disabled; next boot: plain root" }), "{said}");
        assert!(!stays || said.contains("to do: "), "{said}");
        assert_eq!(run(&["is-enabled"]).1, if stays { "enabled\n" } else { "disabled\n" }, "{line}, {holds}");
    }
    // The module is not in the image: said each time, not only when a file changes.
    menu("quiet");
    image("nothing");
    for _ in 0..2 {
        let said = run(&["enable"]).1;
        assert!(said.contains("NOT enabled") && said.contains("lacks the dracut module overlayroot-rs"), "{said}");
    }
    image("module");
    assert!(run(&["enable"]).1.contains("\nenabled") && run(&["is-enabled"]).0 == 0);
    fs::remove_file(at("root/boot/initrd.img")).unwrap();
    assert_eq!(run(&["is-enabled"]), (1, "unknown\n".to_owned()));
    assert!(run(&["enable"]).1.contains("NOT KNOWN"));
    fs::remove_file(at("root/boot/extlinux/extlinux.conf")).unwrap();
    assert_eq!(run(&["is-enabled"]), (1, "unknown\n".to_owned()));
}

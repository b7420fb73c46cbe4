// SPDX-License-Identifier: GPL-2.0-or-later
//! What stands on a terminal: a pager, colours, columns, and nothing that steers it.

use crate::{overlayctl, text};
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

#[test]
fn a_pager_on_a_terminal_and_its_text_in_colour() {
    let said = on_a_terminal(&["explain", "stale"]);
    assert!(said.starts_with("paged") && said.contains("\u{1b}[1mrd.overlay.stale"), "{said:?}");
    for quiet in [&["--no-pager", "keys"][..], &["completions", "fish"], &["config", "--json"]] {
        let said = on_a_terminal(quiet);
        assert!(!said.contains("paged") && said.len() > 200, "{quiet:?}: {said:?}");
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
    let said = whole(fs::File::from(pty.master));
    child.wait().unwrap();
    said
}

/// All that is written to the other end of a terminal. Where nobody has that end any more, reading fails; the kernel
/// (n_tty_read) looks for text first and for the end then, so a line that is written between the two is there only for
/// whoever reads again.
fn whole(mut terminal: fs::File) -> String {
    let (mut said, mut part) = (Vec::new(), [0; 4096]);
    let mut ends = 0;
    while ends < 2 {
        match terminal.read(&mut part) {
            Ok(count @ 1..) => said.extend_from_slice(&part[..count]),
            Ok(0) | Err(_) => ends += 1,
        }
    }
    String::from_utf8_lossy(&said).into_owned()
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
    let said = whole(fs::File::from(pty.master));
    child.wait().unwrap();
    said.replace("\r\n", "\n")
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

// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl diff`, `du` and `top` on real uppers of each kind, as the host has them.
use overlayroot_rootns::{Stage, on_stage, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn furnish(stage: &Stage) {
    stage.mount_root("rw");
    fs::create_dir_all("/sysroot/etc/tree/deep").unwrap();
    for (file, text) in [("tree/deep/file", "x\n"), ("gone", "x\n"), ("hosts", "one\ntwo\nthree\n"), ("tree/a", "1")] {
        fs::write(format!("/sysroot/etc/{file}"), text).unwrap();
    }
    stage.mount_root("ro");
}

/// Every kind of change, below /etc.
fn work() {
    let at = |name: &str| format!("/sysroot/etc/{name}");
    fs::write(at("hosts"), "one\n2\nthree\n").unwrap();
    fs::set_permissions(at("fstab"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(at("gone")).unwrap();
    fs::remove_dir_all(at("tree")).unwrap();
    fs::create_dir(at("new")).unwrap();
    fs::write(at("new/file"), vec![b'x'; 10_000]).unwrap();
    fs::hard_link(at("new/file"), at("new/link")).unwrap();
    // copied up and left alone
    fs::OpenOptions::new().append(true).open(at("hostname")).unwrap();
}

const WANT: &str =
    "m /etc/fstab\nD /etc/gone\nM /etc/hosts\nA /etc/new/\nA /etc/new/file\nA /etc/new/link\nD /etc/tree/\n";

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

fn diff(stage: &Stage, args: &[&str]) -> String {
    said(&stage.overlayctl_inside(&[&["diff"], args].concat()))
}

#[test]
fn an_upper_in_ram_and_every_form() {
    on_stage("diff-tmpfs", |stage| {
        furnish(stage);
        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
        assert_eq!(diff(stage, &["/etc"]), "", "nothing was done yet");
        assert_eq!(stage.overlayctl_inside(&["diff", "--exit-code", "/etc"]).status.code(), Some(0));
        work();
        assert_eq!(diff(stage, &["/etc"]), WANT);
        assert_eq!(stage.overlayctl_inside(&["diff", "--exit-code", "/etc"]).status.code(), Some(1));
        assert!(diff(stage, &[]).contains(WANT), "all of the root");
        assert_eq!(diff(stage, &["/etc/hosts"]), "M /etc/hosts\n");
        assert_eq!(diff(stage, &["etc/tree/deep/file"]), "D /etc/tree/deep/file\n");
        assert!(diff(stage, &["--same", "/etc"]).contains("= /etc/hostname\n"));
        let expanded = diff(stage, &["--expand", "/etc/tree"]);
        let want = "D /etc/tree/\nD /etc/tree/a\nD /etc/tree/deep/\nD /etc/tree/deep/file\n";
        assert_eq!(expanded, want);
        assert_eq!(diff(stage, &["--name-only", "-z", "/etc/new"]), "/etc/new\0/etc/new/file\0/etc/new/link\0");
        let patch = diff(stage, &["-p", "/etc/hosts"]);
        let want = "M /etc/hosts\n--- a/etc/hosts\n+++ b/etc/hosts\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";
        assert_eq!(patch, want);
        json(stage);
        let stat = diff(stage, &["--stat", "--depth", "1", "/etc"]);
        let row = stat.lines().find(|line| line.ends_with("  /etc/new")).unwrap_or_else(|| panic!("{stat}"));
        assert_eq!(row.split_whitespace().take(6).collect::<Vec<_>>(), ["3", "0", "0", "0", "9.8", "KiB"], "{stat}");
        mistakes(stage);
    });
}

fn json(stage: &Stage) {
    let value = overlayroot_rootns::schema::holds("diff", &diff(stage, &["--json", "/etc"]));
    assert_eq!((&value["schema"], &value["count"], &value["path"]), (&1.into(), &7.into(), &"/etc".into()));
    assert_eq!(value["lowers"][0], "/run/rootfsbase");
    let changes = value["changes"].as_array().unwrap();
    let of = |path: &str| changes.iter().find(|change| change["path"] == path).unwrap();
    assert_eq!(of("/etc/fstab")["what"], serde_json::json!(["mode"]));
    assert_eq!((&of("/etc/fstab")["now"]["mode"], &of("/etc/fstab")["was"]["mode"]), (&"0600".into(), &"0644".into()));
    assert_eq!((&of("/etc/hosts")["kind"], &of("/etc/hosts")["was"]["size"]), (&"modified".into(), &14.into()));
    assert_eq!((&of("/etc/tree")["type"], &of("/etc/tree")["now"]), (&"directory".into(), &Value::Null));
    assert_eq!((&of("/etc/new/file")["linked"], &of("/etc/new/link")["linked"]), (&Value::Null, &true.into()));
}

fn mistakes(stage: &Stage) {
    let nowhere = stage.overlayctl_inside(&["diff", "/nowhere/x"]);
    assert_eq!(nowhere.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("/nowhere/x"), "{nowhere:?}");
    for verb in ["diff", "du", "top"] {
        let args = ["--userspec=65534:65534", "/sysroot", "/run/overlayctl", verb];
        let other = Command::new("chroot").args(args).output().unwrap();
        assert_eq!(other.status.code(), Some(3), "{verb}");
        assert!(String::from_utf8_lossy(&other.stderr).contains("only root"), "{other:?}");
    }
    assert_eq!(stage.overlayctl_inside(&["diff", "--json", "-p"]).status.code(), Some(64));
}

#[test]
fn a_directory_of_the_root_does_not_list_itself() {
    on_stage("diff-dir", |stage| {
        furnish(stage);
        assert_eq!(stage.assemble("rd.overlay=dir:/store/upper")["outcome"], "applied");
        work();
        assert_eq!(diff(stage, &["/etc"]), WANT);
        assert!(!diff(stage, &["--expand"]).contains("store"), "{}", diff(stage, &[]));
    });
}

#[test]
fn a_kept_upper_and_one_below_another() {
    on_stage("diff-kept", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        let upper = format!("rd.overlay={}", disk.node);
        furnish(stage);
        stage.assemble(&upper);
        work();
        assert_eq!(diff(stage, &["/etc"]), WANT);
        said(&stage.overlayctl_inside(&["reset", "--keep"]));
        stage.reboot();
        assert_eq!(stage.assemble(&upper)["effective"]["reset"], true);
        assert_eq!(diff(stage, &["/etc"]), "", "begun anew");
        assert_eq!(diff(stage, &["--upper", "overlay.1", "/etc"]), WANT);
        let none = stage.overlayctl_inside(&["diff", "--upper", "overlay.9"]);
        assert!(String::from_utf8_lossy(&none.stderr).contains("overlay.9 is not a kept upper"), "{none:?}");
        said(&stage.overlayctl_inside(&["uppers", "restore", "overlay.1"]));
        stage.reboot();
        // the kept one is a lower now: what it hides is hidden, and only the new work counts
        let record = stage.assemble(&upper);
        assert_eq!(record["outcome"], "applied");
        assert_eq!(diff(stage, &["/etc"]), WANT);
        stage.reboot();
        let record = stage.assemble(&format!("{upper} rd.overlay.readonly"));
        assert_eq!(record["effective"]["lowers"].as_array().unwrap().len(), 2, "{record:#}");
        assert_eq!(diff(stage, &["/etc"]), "");
        fs::write("/sysroot/etc/gone", "again").unwrap();
        fs::write("/sysroot/etc/hosts", "one\ntwo\nthree\n").unwrap();
        assert_eq!(diff(stage, &["/etc"]), "A /etc/gone\nM /etc/hosts\n");
    });
}

#[test]
fn du_counts_as_du_does() {
    on_stage("diff-du", |stage| {
        furnish(stage);
        stage.assemble("rd.overlay");
        work();
        symlink("/", "/sysroot/etc/new/root").unwrap();
        let du = said(&stage.overlayctl_inside(&["du", "--json", "--files", "1", "--depth", "9"]));
        let value = overlayroot_rootns::schema::holds("du", &du);
        let of = |path: &str| {
            let all = value["directories"].as_array().unwrap();
            all.iter().find(|row| row["path"] == path).unwrap_or_else(|| panic!("{path} in {value:#}"))["bytes"]
                .as_u64()
        };
        for (path, real) in
            [("/", "/run/overlayfs/"), ("/etc", "/run/overlayfs/etc"), ("/etc/new", "/run/overlayfs/etc/new")]
        {
            let want = run("du", &["-s", "--block-size=1", real]);
            assert_eq!(of(path), want.split_whitespace().next().unwrap().parse().ok(), "{path}: {value:#}");
        }
        assert_eq!(value["files"][0]["path"], "/etc/new/file", "{value:#}");
        let text = said(&stage.overlayctl_inside(&["du", "--depth", "0", "/etc/new"]));
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            matches!(lines[..], [row, "", all] if row.ends_with(" 3 inodes  /etc/new")
            && all.starts_with("in use on tmpfs (tmpfs)")),
            "{text}"
        );
        assert_eq!(stage.overlayctl_inside(&["du", "/usr/nowhere"]).status.code(), Some(3));
    });
}

/// What an upper in RAM leaves in the lower is told as what it is, and takes no room.
#[test]
fn what_is_still_the_lowers_is_no_content() {
    on_stage("diff-shared", |stage| {
        furnish(stage);
        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
        let at = |name: &str| format!("/sysroot/etc/{name}");
        let private = || fs::Permissions::from_mode(0o600);
        fs::set_permissions(at("hosts"), private()).unwrap();
        chown(at("fstab"), Some(3), Some(4)).unwrap();
        fs::rename(at("gone"), at("here")).unwrap();
        fs::rename(at("tree"), at("moved")).unwrap();
        fs::set_permissions(at("moved/a"), private()).unwrap();
        let value = overlayroot_rootns::schema::holds("diff", &diff(stage, &["--json", "/etc"]));
        let rows = value["changes"].as_array().unwrap().iter();
        let rows: Vec<String> =
            rows.map(|row| format!("{} {} {} {}", row["path"], row["kind"], row["what"], row["from"])).collect();
        let want = [
            r#""/etc/fstab" "metadata" ["owner"] null"#,
            r#""/etc/gone" "removed" null null"#,
            r#""/etc/here" "added" null null"#,
            r#""/etc/hosts" "metadata" ["mode"] null"#,
            r#""/etc/moved" "renamed" null "/etc/tree""#,
            r#""/etc/moved/a" "metadata" ["mode"] null"#,
            r#""/etc/tree" "removed" null null"#,
        ];
        assert_eq!(rows, want);
        assert_eq!(
            diff(stage, &["-p", "/etc/here"]),
            "A /etc/here\n--- /dev/null\n+++ b/etc/here\n@@ -0,0 +1 @@\n+x\n"
        );
        let du = said(&stage.overlayctl_inside(&["du", "--json", "--files", "9", "/etc"]));
        let du = overlayroot_rootns::schema::holds("du", &du);
        assert_eq!(du["directories"][0]["bytes"], 0, "{du:#}");
        let files = du["files"].as_array().unwrap();
        let names: Vec<&str> = files.iter().filter_map(|file| file["path"].as_str()).collect();
        let all = ["/etc/tree", "/etc/moved/a", "/etc/hosts", "/etc/here", "/etc/gone", "/etc/fstab"];
        assert!(names == all && files.iter().all(|file| file["bytes"] == 0), "{du:#}");
    });
}

#[test]
fn top_names_what_grows() {
    on_stage("diff-top", |stage| {
        stage.assemble("rd.overlay");
        fs::create_dir_all("/sysroot/etc/app/logs").unwrap();
        fs::write("/sysroot/etc/app/logs/still", vec![1; 50_000]).unwrap();
        stage.overlayctl_inside(&["check"]);
        let args = ["/sysroot", "/run/overlayctl", "top", "--count", "2", "-d", "3"];
        let top = Command::new("chroot").args(args).stdout(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        fs::write("/sysroot/etc/app/logs/grows", vec![1; 3_000_000]).unwrap();
        let text = said(&top.wait_with_output().unwrap());
        let second = text.split_once("directories that grow").unwrap_or_else(|| panic!("{text}")).1;
        let (directories, files) = second.split_once("files that grow").unwrap();
        assert!(directories.lines().nth(1).unwrap().ends_with("  /etc/app/logs"), "{text}");
        assert!(files.trim().ends_with("/etc/app/logs/grows") && !files.contains("still"), "{text}");
        assert!(!text.contains('\x1b'), "no terminal: {text}");
        assert!(text.contains("inodes free; at this rate full in "), "{text}");
        assert!(directories.lines().nth(1).unwrap().contains("/s "), "{text}");
    });
}

#[test]
fn top_gives_the_terminal_back() {
    on_stage("diff-tty", |stage| {
        stage.assemble("rd.overlay");
        // script(1) asks for a pseudoterminal
        run("mount", &["-t", "tmpfs", "tmpfs", "/tmp"]);
        for (how, line) in [
            ("ctrl-C", "timeout --foreground -s INT 2 /overlayctl top --upperdir /run/overlayfs"),
            ("its end", "/overlayctl top -c 1 --upperdir /run/overlayfs"),
        ] {
            let line = format!("stty -g; {line}; stty -g");
            let text = run("script", &["-qec", &line, "/dev/null"]);
            let (before, rest) = text.split_once("\x1b[?1049h\x1b[?25l").unwrap_or_else(|| panic!("{how}: {text:?}"));
            let (page, after) = rest.split_once("\x1b[?25h\x1b[?1049l").unwrap_or_else(|| panic!("{how}: {text:?}"));
            assert!(page.contains("largest directories"), "{how}: {page:?}");
            assert_eq!(before.trim(), after.trim(), "{how}");
        }
    });
}

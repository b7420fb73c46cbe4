// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl shell`: the lower is written, and everything is as before afterwards, also where it is killed.
use overlayroot_rootns::programs::programs;
use overlayroot_rootns::{Stage, mount_at, mounts, on_stage, run};
use serde_json::Value;
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const LOWER: &str = "/run/rootfsbase";

/// Puts a shell and a few programs into the root.
fn with_programs(stage: &Stage) {
    programs(stage, &["sh", "sleep", "cat", "rm", "touch"]);
}

fn shell(stage: &Stage, script: &str) -> Output {
    stage.overlayctl_inside(&["shell", "--", "/bin/sh", "-c", script])
}

/// The same, to be started; its mounts are those of an earlier `shell`, and so is the program, which may be running.
fn again(script: &str) -> Command {
    let mut command = Command::new("chroot");
    command.args(["/sysroot", "/run/overlayctl", "shell", "--", "/bin/sh", "-c", script]);
    command
}

/// One that runs, and that ends with the test also where the test fails.
struct Begun(Child);

impl Drop for Begun {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn begun(script: &str) -> Begun {
    Begun(again(script).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn serviced() -> Value {
    serde_json::from_str(&fs::read_to_string("/run/overlayroot/serviced.json").unwrap()).unwrap()
}

/// Nothing can be written, nothing is mounted, nobody is left.
fn all_is_as_before(tag: &str) {
    let lower = mount_at(LOWER).unwrap();
    assert!(lower.read_only() && lower.super_read_only(), "{lower:?}");
    assert!(fs::write(format!("{LOWER}/x"), "").is_err());
    let left: Vec<String> = mounts().into_iter().map(|m| m.at).filter(|at| at.contains("overlayroot/shell")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!alive(tag), "sleep {tag} is left");
}

/// Whether a process has this word in its command line.
fn alive(tag: &str) -> bool {
    let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| fs::read(e.path().join("cmdline")).ok());
    lines.filter(|line| line.starts_with(b"sleep\0")).any(|line| String::from_utf8_lossy(&line).contains(tag))
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn kill(pid: u32) {
    run("sh", &["-c", &format!("kill -9 {pid}")]);
}

#[test]
fn the_lower_is_written_and_read_only_again() {
    on_stage("shell", |stage| {
        with_programs(stage);
        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
        fs::write("/sysroot/etc/resolv.conf", "nameserver 192.0.2.53\n").unwrap();
        let script = "echo new >/etc/new && cat /proc/self/mountinfo /etc/resolv.conf && echo $$ >/dev/null; \
                      echo pid $$; exit 7";
        let output = shell(stage, script);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(7), "{text}");
        let root = text.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        assert!(root.contains(" rw") && root.contains(" - ext4 "), "{root}");
        for at in ["/proc", "/dev", "/sys", "/run", "/tmp"] {
            assert!(text.lines().any(|line| line.split(' ').nth(4) == Some(at)), "{at} in {text}");
        }
        assert!(text.contains("nameserver 192.0.2.53"), "{text}");
        assert!(text.lines().any(|line| line == "pid 2"), "its own process namespace: {text}");
        assert!(text.contains("reboot required"), "{text}");
        assert!(text.contains("renamed or given another mode or owner"), "{text}");
        all_is_as_before("none");
        assert_eq!(fs::read_to_string(format!("{LOWER}/etc/new")).unwrap(), "new\n");
        assert_eq!(fs::read_to_string(format!("{LOWER}/etc/resolv.conf")).unwrap(), "# the lower's\n");
        assert_eq!(serviced()["restored"], true);
        let status = stage.overlayctl_inside(&["status", "--json"]);
        assert!(said(&status).contains("the lower was modified"), "{}", said(&status));
        stage.reboot();
        assert!(fs::exists("/sysroot/etc/new").unwrap(), "it stays");
    });
}

#[test]
fn who_only_looks_changes_nothing_and_leaves_no_word() {
    on_stage("shelllook", |stage| {
        with_programs(stage);
        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
        let look = |script: &str| stage.overlayctl_inside(&["shell", "--read-only", "--", "/bin/sh", "-c", script]);
        let output = look("cat /etc/hostname /proc/self/mountinfo; touch /etc/new; exit 7");
        let text = said(&output);
        assert_eq!(output.status.code(), Some(7), "{text}");
        let root = text.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        assert!(root.contains(" ro") && text.contains("Read-only file system"), "{text}");
        assert!(!text.contains("overlayctl:"), "of one command nothing is said: {text}");
        assert!(mount_at(LOWER).unwrap().super_read_only() && !fs::exists(format!("{LOWER}/etc/new")).unwrap());
        assert!(!fs::exists("/run/overlayroot/serviced.json").unwrap());
        let status = stage.overlayctl_inside(&["status", "--json"]);
        assert!(said(&status).contains("\"serviced\": null"), "{}", said(&status));
        all_is_as_before("none");
        stage.reboot();
        // The upper lies on the lower's file system, which is writable: its mounts inside are not.
        assert_eq!(stage.assemble("rd.overlay=dir:/upper")["outcome"], "applied");
        let text =
            said(&stage.overlayctl_inside(&["shell", "-r", "--", "/bin/sh", "-c", "touch /etc/new; rm -r /upper"]));
        assert!(text.matches("Read-only file system").count() >= 2, "{text}");
    });
}

#[test]
fn codes_of_what_does_not_run() {
    on_stage("shellcodes", |stage| {
        with_programs(stage);
        stage.assemble("rd.overlay");
        run("mv", &["/run/overlayroot/state.json", "/run/record"]);
        let output = shell(stage, "true");
        assert_eq!(output.status.code(), Some(125), "{}", said(&output));
        assert!(said(&output).contains("no record of this boot"), "{}", said(&output));
        run("mv", &["/run/record", "/run/overlayroot/state.json"]);
        let code = |args: &[&str]| stage.overlayctl_inside(&[&["shell", "--"], args].concat()).status.code();
        assert_eq!(code(&["/no/such/program"]), Some(127));
        assert_eq!(code(&["/etc"]), Some(126));
        assert_eq!(code(&["/bin/sh", "-c", "kill -9 $$"]), Some(137));
        all_is_as_before("none");
    });
}

#[test]
fn what_lingers_ends_with_it() {
    on_stage("linger", |stage| {
        with_programs(stage);
        stage.assemble("rd.overlay");
        let tag = format!("9{}.25", stage.tag);
        let output = shell(stage, &format!("exec 3>/etc/held; sleep {tag} & exit 0"));
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert_eq!(serviced()["restored"], true);
        all_is_as_before(&tag);
    });
}

#[test]
fn whoever_is_killed_the_lower_is_closed() {
    on_stage("killed", |stage| {
        with_programs(stage);
        stage.assemble("rd.overlay");
        assert_eq!(shell(stage, "exit 0").status.code(), Some(0));
        for (round, who) in ["front", "keeper", "init", "term"].into_iter().enumerate() {
            let tag = format!("8{}.{round}", stage.tag);
            let mut front = begun(&format!("exec 3>/etc/held; sleep {tag}"));
            until("the command runs", || alive(&tag));
            assert!(!mount_at(LOWER).unwrap().super_read_only() && mount_at(LOWER).unwrap().read_only());
            let second = again("true").output().unwrap();
            assert_eq!(second.status.code(), Some(125), "{}", said(&second));
            assert!(said(&second).contains("another overlayctl shell is running"), "{}", said(&second));
            let keeper = children(front.0.id())[0];
            match who {
                "front" => kill(front.0.id()),
                "keeper" => kill(keeper),
                "init" => kill(children(keeper)[0]),
                _ => drop(run("sh", &["-c", &format!("kill {}", front.0.id())])),
            }
            let status = front.0.wait().unwrap();
            if who != "front" {
                assert_eq!(status.code(), Some(125), "{who}");
            }
            until(&format!("{who} was killed, the lower is closed"), || mount_at(LOWER).unwrap().super_read_only());
            until("it is noted", || serviced()["restored"] == true);
            until("nobody is left", || !alive(&tag));
            all_is_as_before(&tag);
        }
        assert_eq!(again("exit 3").status().unwrap().code(), Some(3), "it can be opened again");
    });
}

#[test]
fn what_is_removed_and_still_used_keeps_it_open_and_says_so() {
    on_stage("inuse", |stage| {
        with_programs(stage);
        stage.assemble("rd.overlay");
        let held = fs::File::open("/sysroot/etc/hostname").unwrap();
        let output = shell(stage, "rm /etc/hostname");
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains("still in use"), "{}", said(&output));
        assert_eq!(serviced()["restored"], false);
        let lower = mount_at(LOWER).unwrap();
        assert!(lower.read_only() && !lower.super_read_only(), "{lower:?}");
        assert!(fs::write(format!("{LOWER}/x"), "").is_err(), "no mount of it is writable");
        // In the mounts of this test's / for the program.
        let kept = mount_at("/sysroot/run/initramfs/overlayroot/serviced").unwrap();
        assert!(kept.read_only(), "{kept:?}");
        drop(held);
        // Its inode goes with the overlay's cache of it.
        fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
        assert_eq!(shell(stage, "true").status.code(), Some(0));
        all_is_as_before("none");
    });
}

#[test]
fn an_upper_in_the_root_itself_is_held_off() {
    on_stage("shelldir", |stage| {
        with_programs(stage);
        assert_eq!(stage.assemble("rd.overlay=dir:/upper")["outcome"], "applied");
        fs::write("/sysroot/etc/mine", "x").unwrap();
        let output = shell(stage, "echo new >/etc/new; touch /upper/x; rm -r /upper");
        assert!(!said(&output).contains("another mode or owner"), "its files have all of their own");
        assert!(said(&output).contains("Read-only file system"), "{}", said(&output));
        assert_eq!(fs::read_to_string(format!("{LOWER}/etc/new")).unwrap(), "new\n");
        assert_eq!(fs::read_to_string("/sysroot/etc/mine").unwrap(), "x");
        assert!(fs::write(format!("{LOWER}/x"), "").is_err(), "the view is read-only");
        assert_eq!(serviced()["restored"], true);
    });
}

/// What the boot loader reads lies in the lower, and so does our own file; the upper has another idea of both.
#[test]
fn disable_in_an_overlay_is_done_in_the_lower() {
    const MENU: &str = "label l0\n\tlinux /boot/vmlinuz\n\tinitrd /boot/initrd.img\n\tappend root=x ro";
    on_stage("disable", |stage| {
        with_programs(stage);
        stage.mount_root("rw");
        fs::create_dir_all("/sysroot/boot/extlinux").unwrap();
        fs::write("/sysroot/boot/extlinux/extlinux.conf", format!("{MENU} rd.overlay\n")).unwrap();
        fs::write("/sysroot/boot/initrd.img", "").unwrap();
        fs::write("/sysroot/etc/overlayroot-rs.conf", "rd.overlay=tmpfs\n").unwrap();
        let list = "for i in 1 2 3 4 5 6 7 8 9 0 a b c d e f g h i j k bin/overlay-assemble; do echo \"-rw-r--r-- 1 $i\"; done";
        fs::write("/sysroot/bin/lsinitrd", format!("#!/bin/sh\n{list}\n")).unwrap();
        run("chmod", &["755", "/sysroot/bin/lsinitrd"]);
        stage.mount_root("ro");
        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
        fs::create_dir_all("/sysroot/boot/extlinux").unwrap();
        fs::write("/sysroot/boot/extlinux/extlinux.conf", format!("{MENU}\n")).unwrap();

        let text = said(&stage.overlayctl_inside(&["disable", "-n"]));
        assert!(text.contains("-\tappend root=x ro rd.overlay\n"), "{text}");
        assert_eq!(
            fs::read_to_string(format!("{LOWER}/boot/extlinux/extlinux.conf")).unwrap(),
            format!("{MENU} rd.overlay\n")
        );
        let output = stage.overlayctl_inside(&["disable"]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains("disabled; next boot: plain root, no overlay"), "{text}");
        assert_eq!(fs::read_to_string(format!("{LOWER}/boot/extlinux/extlinux.conf")).unwrap(), format!("{MENU}\n"));
        assert_eq!(fs::read_to_string(format!("{LOWER}/etc/overlayroot-rs.conf")).unwrap(), "#rd.overlay=tmpfs\n");
        assert_eq!(serviced()["restored"], true);
        all_is_as_before("none");
    });
}

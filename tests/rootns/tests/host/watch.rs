// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl watch` over a real tmpfs upper, with a journal socket, a terminal, and programs of the test's own.
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use overlayroot_host::watch::journald::message_id;
use overlayroot_host::watch::levels::FillLevel;
use overlayroot_rootns::{Stage, on_stage, run};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(40);
const MOTD: &str = "/run/motd.d/overlayroot-rs";

/// A watch, with what it talks to.
struct Watch {
    child: Child,
    journal: UnixDatagram,
    terminal: fs::File,
    /// Kept open: a terminal without it is gone.
    _other: OwnedFd,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watch {
    fn start(stage: &Stage) -> Self {
        // Binds what the booted system has into /sysroot.
        assert!(stage.overlayctl_inside(&["keys"]).status.success());
        for directory in ["/run/systemd/system", "/run/systemd/journal", "/run/fake"] {
            fs::create_dir_all(directory).unwrap();
        }
        let journal = UnixDatagram::bind("/run/systemd/journal/socket").unwrap();
        journal.set_read_timeout(Some(PATIENCE)).unwrap();
        let terminal = openpty(None, None).unwrap();
        fcntl(&terminal.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let name = fs::read_link(format!("/proc/self/fd/{}", terminal.slave.as_raw_fd())).unwrap();
        let name = name.to_str().unwrap().trim_start_matches("/dev/");
        fake("systemctl", "echo \"$@\" >>/run/fake/log");
        fake(
            "loginctl",
            &format!("case $1 in list-sessions) echo 'c1 0 root seat0' ;; show-session) echo TTY={name} ;; esac"),
        );
        let path = format!("/run/fake:{}", std::env::var("PATH").unwrap());
        // A program that runs can't be replaced, as overlayctl_inside does.
        run("cp", &["/overlayctl", "/run/watcher"]);
        let mut command = Command::new("chroot");
        command.args(["/sysroot", "/run/watcher", "watch"]).env("PATH", path).stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let watch = Self { child, journal, terminal: terminal.master.into(), _other: terminal.slave };
        until("the sizes in the beginning", || fs::exists("/run/overlayroot/sizes").unwrap());
        watch
    }

    /// The next entry, as its lines.
    fn entry(&self, level: FillLevel) -> Vec<String> {
        let mut bytes = vec![0; 65_536];
        let len = self.journal.recv(&mut bytes).expect("an entry in time");
        let text = String::from_utf8(bytes[..len].to_vec()).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(lines.contains(&format!("MESSAGE_ID={}", message_id(level))), "{text}");
        assert!(lines.contains(&format!("OVERLAY_LEVEL={}", level.word())), "{text}");
        lines
    }

    /// What the terminal shows, once it shows `want`.
    fn shows(&mut self, want: &str) -> String {
        let mut seen = String::new();
        until(want, || {
            let mut bytes = [0; 4096];
            if let Ok(len) = self.terminal.read(&mut bytes) {
                seen.push_str(&String::from_utf8_lossy(&bytes[..len]));
            }
            seen.contains(want)
        });
        seen
    }

    /// Ticks of the CPU that it has taken.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

fn fake(name: &str, body: &str) {
    // Not written by this process: see Stage::overlayctl_inside.
    let script = format!("printf '%s\\n' '#!/bin/sh' \"$1\" >/run/fake/{name} && chmod +x /run/fake/{name}");
    run("sh", &["-c", &script, "sh", body]);
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn value<'a>(entry: &'a [String], name: &str) -> &'a str {
    entry.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

#[test]
fn a_runaway_log_is_told_with_its_directory_and_resize_ends_it() {
    on_stage("watchlog", |stage| {
        stage.assemble("rd.overlay=tmpfs:size=64M");
        fs::create_dir_all("/sysroot/var/log/app").unwrap();
        fs::create_dir_all("/sysroot/srv/old").unwrap();
        // More than what grows later, but there before.
        fs::write("/sysroot/srv/old/data", vec![1; 20 << 20]).unwrap();
        // In a directory of others, who would have root write elsewhere.
        fs::create_dir("/run/open").unwrap();
        fs::set_permissions("/run/open", fs::Permissions::from_mode(0o777)).unwrap();
        fs::write("/run/victim", "untouched").unwrap();
        for name in ["upper.prom", "upper.prom.new"] {
            std::os::unix::fs::symlink("/run/victim", format!("/run/open/{name}")).unwrap();
        }
        fs::write("/sysroot/etc/overlayroot-rs.conf", "rd.overlay.watch.textfile=/run/open/upper.prom\n").unwrap();
        let mut watch = Watch::start(stage);
        assert!(!fs::exists(MOTD).unwrap());
        let log = "/sysroot/var/log/app/log";
        fs::write(log, vec![b'x'; 27 << 20]).unwrap();
        let warning = watch.entry(FillLevel::Warning);
        assert!(value(&warning, "OVERLAY_GREW").ends_with(" /var/log/app"), "{warning:?}");
        assert!(value(&warning, "MESSAGE").contains("grew most since the boot: /var/log/app +27.0 MiB"), "{warning:?}");
        assert_eq!((value(&warning, "PRIORITY"), value(&warning, "OVERLAY_RESOURCE")), ("4", "bytes"));
        let shown = watch.shows("overlayctl resize");
        assert!(shown.contains("warning: the upper is 7") && shown.contains("/var/log/app"), "{shown}");
        assert!(fs::read_to_string(MOTD).unwrap().contains("/var/log/app"));
        // Not written anew: a look at the file that is empty for a moment would find room.
        let mut more = fs::OpenOptions::new().append(true).open(log).unwrap();
        more.write_all(&vec![b'x'; 13 << 20]).unwrap();
        let critical = watch.entry(FillLevel::Critical);
        assert_eq!((value(&critical, "PRIORITY"), value(&critical, "OVERLAY_LEVEL_BEFORE")), ("2", "warning"));
        assert!(value(&critical, "OVERLAY_GREW").ends_with(" /var/log/app"), "{critical:?}");
        watch.shows("critical: the upper is 9");
        let export = || fs::read_to_string("/run/open/upper.prom").unwrap_or_default();
        until("critical in the file", || export().contains("\noverlayroot_upper_level 2\n"));
        assert_eq!(fs::read_to_string("/run/victim").unwrap(), "untouched");
        // One is enough, and a second one changes nothing.
        for args in [&["watch"][..], &["watch", "--clear"]] {
            let second = stage.overlayctl_inside(args);
            let said = String::from_utf8_lossy(&second.stderr).into_owned();
            assert!(second.status.code() == Some(1) && said.contains("another overlayctl watch is running"), "{said}");
        }
        assert!(fs::exists(MOTD).unwrap());
        let rescued = stage.overlayctl_inside(&["resize", "256M"]);
        assert!(rescued.status.success(), "{rescued:?}");
        let fine = watch.entry(FillLevel::Fine);
        assert!(value(&fine, "MESSAGE").starts_with("space is available again: "), "{fine:?}");
        until("no motd", || !fs::exists(MOTD).unwrap());
        until("the new size in the file", || export().contains("\noverlayroot_upper_size_bytes 268435456\n"));
        let systemctl = fs::read_to_string("/run/fake/log").unwrap();
        let want = ["start warning", "start critical", "stop warning", "stop critical"].map(|line| {
            let (verb, level) = line.split_once(' ').unwrap();
            format!("--no-block {verb} overlayroot-rs-{level}.target\n")
        });
        assert_eq!(systemctl, want.concat());
        // It sleeps: three walks and some looks are not a second of the CPU, in a debug build.
        let begin = watch.ticks();
        std::thread::sleep(Duration::from_secs(3));
        assert!(watch.ticks() - begin < 10 && watch.child.try_wait().unwrap().is_none(), "{} ticks", watch.ticks());
    });
}

#[test]
fn inodes_run_out_first_and_what_it_left_is_taken_back() {
    on_stage("watchino", |stage| {
        stage.assemble("rd.overlay=tmpfs:size=64M,nr_inodes=1000");
        let conf = "rd.overlay.watch.warn=50\nrd.overlay.watch.critical=60\n";
        fs::write("/sysroot/etc/overlayroot-rs.conf", conf).unwrap();
        fs::create_dir_all("/sysroot/srv/many").unwrap();
        let mut watch = Watch::start(stage);
        for number in 0..700 {
            fs::write(format!("/sysroot/srv/many/{number}"), "").unwrap();
        }
        let motd = || fs::read_to_string(MOTD).unwrap_or_default();
        until("a level by inodes", || motd().starts_with("critical: "));
        assert!(motd().contains("of the upper's inodes are in use") && motd().contains("/srv/many +"), "{}", motd());
        watch.child.kill().unwrap();
        watch.child.wait().unwrap();
        // As the unit does it after a crash.
        let before = fs::read_to_string("/run/fake/log").unwrap();
        let path = format!("/run/fake:{}", std::env::var("PATH").unwrap());
        let mut clear = Command::new("chroot");
        clear.args(["/sysroot", "/run/overlayctl", "watch", "--clear"]).env("PATH", path);
        assert!(clear.status().unwrap().success());
        assert!(!fs::exists(MOTD).unwrap());
        let after = fs::read_to_string("/run/fake/log").unwrap();
        let both = "--no-block stop overlayroot-rs-warning.target\n--no-block stop overlayroot-rs-critical.target\n";
        assert_eq!(after.strip_prefix(&before), Some(both));
    });
}

#[test]
fn on_a_plain_root_there_is_nothing_to_watch() {
    on_stage("watchoff", |stage| {
        stage.assemble("rd.overlay=0");
        stage.mount_root("rw");
        let output = stage.overlayctl_inside(&["watch"]);
        assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
        assert!(!fs::exists("/run/overlayroot/sizes").unwrap());
    });
}

/// The watch looks at a file system that is full of other things: it says so, and names no directory of the upper.
#[test]
fn a_card_that_is_full_of_other_things_is_told_as_that() {
    on_stage("watchcard", |stage| {
        stage.mount_root("rw");
        let stat = nix::sys::statvfs::statvfs("/sysroot").unwrap();
        let unit = stat.fragment_size();
        let used = (stat.blocks() - stat.blocks_free()) * unit;
        let all = used + stat.blocks_available() * unit;
        fs::write("/sysroot/video", vec![0x5a; usize::try_from(all * 4 / 5 - used).unwrap()]).unwrap();
        stage.mount_root("ro");
        stage.assemble("rd.overlay=dir:/var/upper");
        let mut watch = Watch::start(stage);
        let entry = watch.entry(FillLevel::Warning);
        let (message, node) = (value(&entry, "MESSAGE"), &stage.root.node);
        assert!(message.starts_with(&format!("the upper's file system {node} (ext4) is 8")), "{message}");
        assert!(message.ends_with("of it the upper's own files"), "{message}");
        let own: Vec<u64> = value(&entry, "OVERLAY_OWN").split(' ').map(|number| number.parse().unwrap()).collect();
        assert!(own.len() == 2 && own[0] < 1 << 20, "{entry:?}");
        assert!(entry.iter().all(|line| !line.starts_with("OVERLAY_GREW")), "{entry:?}");
        watch.shows(&format!("Free space on {node} (ext4)"));
    });
}

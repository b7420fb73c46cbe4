// SPDX-License-Identifier: GPL-2.0-or-later
//! Tells of a level: journal, terminals, motd, systemd's targets. Best effort, each by itself, and never for long:
//! on a full system anything may fail.

use overlayroot_core::layout::paths;
use overlayroot_core::value::diagnostics::plain;
use overlayroot_host::watch::journald::{SOCKET, entry, message_id, priority};
use overlayroot_host::watch::levels::FillLevel;
use overlayroot_linux::log::kmsg;
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The targets, and from which level on each is active.
const TARGETS: [(&str, FillLevel); 2] =
    [("overlayroot-rs-warning.target", FillLevel::Warning), ("overlayroot-rs-critical.target", FillLevel::Critical)];
/// No program that is run may take longer.
const LONGEST: Duration = Duration::from_secs(5);

/// Takes back what an earlier watch left.
pub fn clear() {
    if fs::remove_file(paths::MOTD).is_ok() {
        targets(FillLevel::Critical, FillLevel::Fine);
    }
}

/// Starts the targets of the levels that are reached, and stops those of the levels that are left.
pub fn targets(before: FillLevel, now: FillLevel) {
    if !Path::new("/run/systemd/system").exists() {
        return;
    }
    for (target, at) in TARGETS {
        let verb = match (before >= at, now >= at) {
            (false, true) => "start",
            (true, false) => "stop",
            _ => continue,
        };
        if run("systemctl", &["--no-block", verb, target], None).is_none() {
            eprintln!("overlayctl: systemctl {verb} {target} failed");
        }
    }
}

/// An entry in the journal, or a line in the log where there is none. The first field is the message.
pub fn journal(level: FillLevel, fields: &[(&str, String)]) {
    let mut all = vec![
        ("MESSAGE_ID", message_id(level).to_owned()),
        ("PRIORITY", priority(level).to_string()),
        ("SYSLOG_IDENTIFIER", "overlayctl".to_owned()),
    ];
    all.extend(fields.iter().cloned());
    let text = fields.first().map_or("", |(_, text)| text.as_str());
    // "daemon" is facility 3.
    let line = format!("<{}>overlayctl: {text}", (3 << 3) | priority(level));
    if !send(SOCKET, &entry(&all)) && !send("/dev/log", line.as_bytes()) {
        kmsg::write(priority(level), text);
    }
}

fn send(socket: &str, bytes: &[u8]) -> bool {
    let sent = UnixDatagram::unbound().and_then(|from| {
        from.set_write_timeout(Some(LONGEST))?;
        from.send_to(bytes, socket)
    });
    sent.is_ok()
}

/// Tells every terminal that somebody is logged in at. systemd's logind knows them, also where there is no utmp any
/// more (Debian 13); elsewhere wall(1) does.
pub fn wall(text: &str) {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let text = plain(&format!("Message from overlayroot-rs on {}:\n{text}\n", host.trim()));
    match terminals() {
        Some(terminals) => terminals.iter().for_each(|terminal| write_to(terminal, &text)),
        None => drop(run("wall", &[], Some(&text))),
    }
}

/// Terminals of the sessions; `None` where nobody knows.
fn terminals() -> Option<Vec<String>> {
    let list = run("loginctl", &["list-sessions", "--no-legend"], None)?;
    let sessions: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    if sessions.is_empty() {
        return Some(Vec::new());
    }
    // The columns of the list differ between versions, the property does not.
    let told = run("loginctl", &[&["show-session", "--property=TTY"], sessions.as_slice()].concat(), None)?;
    Some(devices(&told))
}

fn devices(told: &str) -> Vec<String> {
    let names = told.lines().filter_map(|line| line.strip_prefix("TTY="));
    let plain = |name: &&str| !name.is_empty() && !name.starts_with('/') && !name.contains("..");
    let mut found: Vec<String> = names.filter(plain).map(|name| format!("/dev/{name}")).collect();
    found.sort();
    found.dedup();
    found
}

fn write_to(terminal: &str, text: &str) {
    if !fs::metadata(terminal).is_ok_and(|metadata| metadata.file_type().is_char_device()) {
        return;
    }
    // One that was stopped by Ctrl-S must not stop the watch.
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(terminal) = rustix::fs::open(terminal, flags, Mode::empty()) {
        let _ = File::from(terminal).write_all(format!("\r\n{}", text.replace('\n', "\r\n")).as_bytes());
    }
}

/// Runs a program, and gives back what it printed; `None` where it is not there, fails, or takes too long.
fn run(program: &str, args: &[&str], input: Option<&str>) -> Option<String> {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut command = Command::new(program);
    command.args(args).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    if let (Some(mut pipe), Some(text)) = (child.stdin.take(), input) {
        let _ = pipe.write_all(text.as_bytes());
    }
    let end = Instant::now() + LONGEST;
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if Instant::now() >= end => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let mut printed = String::new();
    // A few lines: less than a pipe holds.
    child.stdout.take()?.take(1 << 20).read_to_string(&mut printed).ok()?;
    status.success().then_some(printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_of_sessions() {
        assert_eq!(devices("TTY=pts/3\n\nTTY=\n\nTTY=tty1\nTTY=pts/3\n"), ["/dev/pts/3", "/dev/tty1"]);
        assert!(devices("TTY=../etc/passwd\nTTY=/etc/passwd\nx\n").is_empty());
    }

    #[test]
    fn a_program_that_hangs_or_is_not_there() {
        assert_eq!(run("/no/such/program", &[], None), None);
        assert_eq!(run("false", &[], None), None);
        assert_eq!(run("cat", &[], Some("text")).as_deref(), Some("text"));
        let begin = Instant::now();
        assert_eq!(run("sleep", &["60"], None), None);
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}

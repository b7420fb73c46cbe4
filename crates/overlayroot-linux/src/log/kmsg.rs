// SPDX-License-Identifier: GPL-2.0-or-later
//! The kernel's log: what it said while a step ran, and our own lines in it.
//!
//! mount(2) answers with a bare errno; why, overlayfs says only here, with every kernel.

use overlayroot_core::value::diagnostics::plain;
use rustix::fs::{Mode, OFlags};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};

/// Reads what the kernel logs from now on. Best effort: without /dev/kmsg it is silent.
pub struct Kmsg(Option<File>);

impl Kmsg {
    /// Opens the log at its end.
    pub fn open() -> Self {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::open("/dev/kmsg", flags, Mode::empty()).ok().and_then(|file| {
            let mut file = File::from(file);
            file.seek(SeekFrom::End(0)).ok()?;
            Some(file)
        });
        Self(file)
    }

    /// The kernel's warnings and worse, and all of overlayfs's lines, since the last call; at most eight.
    pub fn drain(&mut self) -> Vec<String> {
        const MOST: usize = 8;
        let Some(file) = &mut self.0 else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        // One read gives one record; 8 KiB is the most a record takes (Documentation/ABI/testing/dev-kmsg).
        let mut buffer = [0; 8192];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => lines.extend(buffer.get(..len).and_then(line)),
                // EPIPE: records were overwritten before we read them; go on with the next.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(_) => break,
            }
        }
        let from = lines.len().saturating_sub(MOST);
        lines.split_off(from)
    }
}

/// The text of a record `priority,sequence,time,flags;text`, if it is the kernel's and worth keeping.
fn line(record: &[u8]) -> Option<String> {
    let record = String::from_utf8_lossy(record);
    let (head, text) = record.split_once(';')?;
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    let text = text.lines().next()?.to_owned();
    let kernel = priority >> 3 == 0;
    let about_overlay = text.starts_with("overlayfs:") || text.starts_with("overlay:");
    (kernel && (priority & 7 <= 4 || about_overlay)).then_some(text)
}

/// Writes one line with syslog level `level` (0 to 7). Rate-limited by the kernel: few, important lines only.
pub fn write(level: u8, text: &str) {
    if let Ok(mut file) = OpenOptions::new().write(true).open("/dev/kmsg") {
        // Nobody could be told that the log can't be written.
        let _ = file.write_all(ours(level, text).as_bytes());
    }
}

/// One write(2) is one record, so the line is put together first. The console shows it as it is.
fn ours(level: u8, text: &str) -> String {
    format!("<{level}>overlayroot-rs: {}\n", plain(text).replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_kernels_warnings_and_overlayfs() {
        assert_eq!(line(b"4,1,2,-;EXT4-fs (vdb): bad\n SUB=1\n").as_deref(), Some("EXT4-fs (vdb): bad"));
        assert_eq!(line(b"6,1,2,-;overlayfs: hello\n").as_deref(), Some("overlayfs: hello"));
        assert_eq!(line(b"6,1,2,-;usb 1-1: new\n"), None);
        assert_eq!(line(b"28,1,2,-;systemd[1]: warning of user space\n"), None);
        assert_eq!(line(b"junk"), None);
    }

    #[test]
    fn a_line_of_ours_steers_no_console() {
        assert_eq!(ours(5, "at /a\nb\x1b[2J"), "<5>overlayroot-rs: at /a b\\u{1b}[2J\n");
    }
}

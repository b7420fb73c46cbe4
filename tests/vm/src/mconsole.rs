// SPDX-License-Identifier: GPL-2.0-or-later
//! The control socket of user-mode Linux (Documentation/virt/uml in the kernel): disks which are plugged in while the
//! guest runs, and what a guest that hangs is at. QEMU's is in [`crate::qmp`].

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const MAGIC: u32 = 0xcafe_babe;
const VERSION: u32 = 2;
/// Bytes of a command, its end included.
const MOST: usize = 512;

/// Adds a disk at a place: `config ubdc=FILE`. `dir` is for this side of the socket.
///
/// # Errors
/// When the guest does not answer, or refuses.
pub fn add_disk(socket: &Path, dir: &Path, name: &str, image: &Path) -> Result<()> {
    ask(socket, dir, &format!("config {name}={}", image.display())).map(drop)
}

/// What the guest's tasks are at: those that wait for the kernel first, then all. In it, why it does not say so.
pub fn tasks(socket: &Path, dir: &Path) -> String {
    let said = ["sysrq w", "stack 1", "sysrq t"].map(|command| {
        let answer = ask(socket, dir, command).unwrap_or_else(|error| format!("{error:#}"));
        format!("== {command}\n{answer}\n")
    });
    said.concat()
}

fn ask(socket: &Path, dir: &Path, command: &str) -> Result<String> {
    ensure!(command.len() < MOST, "too long for the control socket: {command}");
    let mut request = Vec::with_capacity(12 + MOST);
    for word in [MAGIC, VERSION, u32::try_from(command.len())?] {
        request.extend(word.to_ne_bytes());
    }
    request.extend(command.as_bytes());
    request.resize(12 + MOST, 0);
    let own = dir.join("mconsole-client");
    let port = UnixDatagram::bind(&own).with_context(|| own.display().to_string())?;
    port.set_read_timeout(Some(Duration::from_secs(20)))?;
    let sent = port.send_to(&request, socket).with_context(|| socket.display().to_string());
    let answer = sent.and_then(|_| answer(&port));
    // of no use to anybody, and in the way of the next one
    let _ = std::fs::remove_file(&own);
    answer.with_context(|| command.to_owned())
}

/// The answer's parts: whether it is an error, whether more follows, the length and the text.
fn answer(port: &UnixDatagram) -> Result<String> {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 4096];
        let count = port.recv(&mut bytes).context("no answer")?;
        let word = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
        text.push_str(String::from_utf8_lossy(bytes.get(12..count).unwrap_or_default()).trim_end_matches('\0'));
        if word(4) == 0 {
            ensure!(word(0) == 0, "refused: {text}");
            return Ok(text);
        }
    }
}

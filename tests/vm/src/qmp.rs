// SPDX-License-Identifier: GPL-2.0-or-later
//! QEMU's control socket: disks which are plugged in while the guest runs, and what a device says of it.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// A connection; QEMU has one at a time.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    lines: Lines<BufReader<UnixStream>>,
}

impl Qmp {
    /// Connects, and ends the negotiation that QEMU begins with.
    ///
    /// # Errors
    /// When the socket is not there, or QEMU does not answer.
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let lines = BufReader::new(stream.try_clone()?).lines();
        let mut qmp = Self { stream, lines };
        qmp.ask(&json!({"execute": "qmp_capabilities"}))?;
        Ok(qmp)
    }

    /// Gives a command, and waits for what it returns.
    ///
    /// # Errors
    /// When QEMU refuses, or ends.
    pub fn ask(&mut self, command: &Value) -> Result<Value> {
        writeln!(self.stream, "{command}")?;
        loop {
            let line = self.lines.next().context("QEMU closed the control socket")??;
            let mut answer: Value = serde_json::from_str(&line)?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {error}");
            }
            // events and the greeting come in between
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }
}

/// Plugs in a virtio disk whose drive QEMU already has.
///
/// # Errors
/// When QEMU refuses.
pub fn add_disk(socket: &Path, drive: &str, serial: &str) -> Result<()> {
    let device = json!({"driver": "virtio-blk-pci", "drive": drive, "serial": serial, "id": format!("late-{drive}")});
    Qmp::connect(socket)?.ask(&json!({"execute": "device_add", "arguments": device})).map(drop)
}

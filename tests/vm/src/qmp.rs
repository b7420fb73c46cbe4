// SPDX-License-Identifier: GPL-2.0-or-later
//! QEMU's control socket, for disks which are plugged in while the guest runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Plugs in a virtio disk whose drive QEMU already has.
///
/// # Errors
/// When QEMU refuses.
pub fn add_disk(socket: &Path, drive: &str, serial: &str) -> Result<()> {
    let stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut ask = |command: Value| -> Result<()> {
        writeln!(&stream, "{command}")?;
        loop {
            let line = lines.next().context("QEMU closed the control socket")??;
            let answer: Value = serde_json::from_str(&line)?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {error}");
            }
            // events and the greeting come in between
            if answer.get("return").is_some() {
                return Ok(());
            }
        }
    };
    ask(json!({"execute": "qmp_capabilities"}))?;
    let device = json!({"driver": "virtio-blk-pci", "drive": drive, "serial": serial, "id": format!("late-{drive}")});
    ask(json!({"execute": "device_add", "arguments": device}))
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the wait for an encrypted volume has an end: who was to open it has given up. In an initramfs only.

use crate::sys::program;
use overlayroot_core::facts::device::GaveUp;
use overlayroot_core::upper::crypt::{mapping, unit};
use overlayroot_core::value::device::Device;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often systemd is asked.
const ASK: Duration = Duration::from_secs(1);
/// How long it may take to answer: the wait for the device goes on without.
const LONGEST: Duration = Duration::from_secs(5);

/// What opens a mapping that is waited for.
pub(crate) struct Opener {
    mapping: String,
    asked: Option<Instant>,
}

impl Opener {
    /// For a device whose path is a mapping's. What is mounted by a label or a UUID may yet come on another device.
    pub(crate) fn of(asked: &Device) -> Option<Self> {
        let initramfs = Path::new("/etc/initrd-release").exists();
        let mapping = mapping(asked).filter(|_| initramfs)?;
        Some(Self { mapping: mapping.to_owned(), asked: None })
    }

    /// Who has given up, by what dracut left or systemd says; nothing where somebody may still open it.
    pub(crate) fn gave_up(&mut self) -> Option<GaveUp> {
        // dracut's cryptroot-ask opens a volume first and leaves this afterwards, opened or not. Then it asks no more.
        if Path::new(&format!("/tmp/cryptroot-asked-{}", self.mapping)).exists() {
            return Some(GaveUp::Dracut);
        }
        if !Path::new("/run/systemd/system").is_dir() || self.asked.is_some_and(|asked| asked.elapsed() < ASK) {
            return None;
        }
        self.asked = Some(Instant::now());
        let unit = unit(&self.mapping);
        has_failed("systemctl", &unit, LONGEST).then_some(GaveUp::Unit(unit))
    }
}

/// There is no message bus here; systemctl asks systemd itself. What has no such unit has not failed, nor has one of
/// which nothing is heard.
fn has_failed(systemctl: &str, unit: &str, most: Duration) -> bool {
    let code = program::run_within(systemctl, &["is-failed", "--quiet", unit], program::NOWHERE, most);
    code.is_ok_and(|code| code == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_systemd_that_does_not_answer_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let hangs = dir.path().join("systemctl");
        fs::write(&hangs, "#!/bin/sh\nexec sleep 60\n").unwrap();
        fs::set_permissions(&hangs, fs::Permissions::from_mode(0o755)).unwrap();
        let began = Instant::now();
        assert!(!has_failed(hangs.to_str().unwrap(), "a.service", Duration::from_millis(300)));
        assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
        let most = Duration::from_secs(45);
        assert!(has_failed("true", "a.service", most) && !has_failed("false", "a.service", most));
        assert!(!has_failed("/no/such/systemctl", "a.service", most));
    }
}

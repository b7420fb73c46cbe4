// SPDX-License-Identifier: GPL-2.0-or-later
//! How much RAM a guest uses at most, as its own kernel tells the balloon device.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::qmp::Qmp;

/// The device's name.
pub(crate) const BALLOON: &str = "balloon0";
/// A figure that the guest did not give.
const NONE: u64 = u64::MAX;
/// The guest is asked once a second.
const EACH: Duration = Duration::from_millis(500);

const PATIENCE: Duration = Duration::from_secs(30);

/// What was seen of a guest's RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ram {
    /// The most that was not available to programs, in bytes: the kernel's MemTotal less MemAvailable. Files in
    /// tmpfs and an initramfs count, the page cache of a disk does not.
    pub peak: u64,
    /// From QEMU's start to the first figure: the guest gives none before it has the balloon's driver.
    pub since: Duration,
}

/// Asks a guest which runs.
#[derive(Debug)]
pub(crate) struct Sampler {
    socket: PathBuf,
    qmp: Option<Qmp>,
    last: Option<Instant>,
    seen: Option<Ram>,
}

impl Sampler {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, qmp: None, last: None, seen: None }
    }

    pub(crate) fn seen(&self) -> Option<Ram> {
        self.seen
    }

    /// Looks once, `now` after QEMU's start.
    pub(crate) fn look(&mut self, now: Duration) -> Result<()> {
        if self.last.is_some_and(|last| last.elapsed() < EACH) {
            return Ok(());
        }
        let Some(qmp) = &mut self.qmp else {
            match Qmp::connect(&self.socket) {
                Ok(qmp) => self.qmp = Some(begin(qmp)?),
                // QEMU listens a moment after it began
                Err(error) if now > PATIENCE => return Err(error),
                Err(_) => {}
            }
            return Ok(());
        };
        self.last = Some(Instant::now());
        let said = qmp.ask(&json!({"execute": "qom-get", "arguments": {"path": path(), "property": "guest-stats"}}))?;
        if let Some(used) = used(&said)? {
            let before = self.seen.unwrap_or(Ram { peak: 0, since: now });
            self.seen = Some(Ram { peak: before.peak.max(used), ..before });
        }
        Ok(())
    }
}

fn path() -> String {
    format!("/machine/peripheral/{BALLOON}")
}

fn begin(mut qmp: Qmp) -> Result<Qmp> {
    let each = json!({"path": path(), "property": "guest-stats-polling-interval", "value": 1});
    qmp.ask(&json!({"execute": "qom-set", "arguments": each}))?;
    Ok(qmp)
}

/// Bytes in use, from the balloon's `guest-stats`; nothing as long as the guest gave no figures.
fn used(said: &Value) -> Result<Option<u64>> {
    if said.get("last-update").and_then(Value::as_i64).unwrap_or(0) == 0 {
        return Ok(None);
    }
    let figure = |name: &str| said.pointer(&format!("/stats/{name}")).and_then(Value::as_u64);
    let (total, available) = (figure("stat-total-memory"), figure("stat-available-memory"));
    match (total, available) {
        (Some(total), Some(available)) if total != NONE && available != NONE => {
            ensure!(available <= total, "the guest has {total} bytes of RAM, and {available} of them are available");
            Ok(Some(total - available))
        }
        _ => anyhow::bail!("the guest does not say what is available: {said}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn stats(last: i64, total: u64, available: u64) -> Value {
        json!({"stats": {"stat-total-memory": total, "stat-available-memory": available, "stat-free-memory": 1,
            "stat-swap-in": NONE}, "last-update": last})
    }

    #[test]
    fn ram_in_use_is_read_from_the_balloon() {
        // as QEMU writes it
        let text = r#"{"stats": {"stat-htlb-pgfail": 0, "stat-swap-out": 0, "stat-available-memory": 700000000,
            "stat-htlb-pgalloc": 0, "stat-free-memory": 600000000, "stat-minor-faults": 1, "stat-major-faults": 2,
            "stat-total-memory": 1000000000, "stat-swap-in": 0, "stat-disk-caches": 5}, "last-update": 1764000000}"#;
        assert_eq!(used(&serde_json::from_str(text).unwrap()).unwrap(), Some(300_000_000));
        // the driver is not there yet
        assert_eq!(used(&stats(0, NONE, NONE)).unwrap(), None);
        assert_eq!(used(&json!({"stats": {"stat-total-memory": NONE}, "last-update": 0})).unwrap(), None);
    }

    #[test]
    fn the_peak_is_kept_from_the_first_figure_on() {
        let dir = std::env::temp_dir().join(format!("overlayroot-vm-ram-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let listener = UnixListener::bind(dir.join("qmp")).unwrap();
        let answers =
            [json!({}), json!({}), stats(0, NONE, NONE), stats(5, 1000, 900), stats(6, 1000, 400), stats(7, 1000, 700)];
        let qemu = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            writeln!(&stream, "{}", json!({"QMP": {"capabilities": []}})).unwrap();
            let mut asked = Vec::new();
            for (answer, line) in answers.iter().zip(BufReader::new(&stream).lines()) {
                asked.push(line.unwrap());
                writeln!(&stream, "{}", json!({"event": "RTC_CHANGE"})).unwrap();
                writeln!(&stream, "{}", json!({"return": answer})).unwrap();
            }
            asked
        });
        let mut sampler = Sampler::new(dir.join("qmp"));
        for second in 1..=5 {
            sampler.last = None;
            sampler.look(Duration::from_secs(second)).unwrap();
        }
        assert_eq!(sampler.seen(), Some(Ram { peak: 600, since: Duration::from_secs(3) }));
        // what goes wrong is said, not left out
        sampler.last = None;
        let asked = qemu.join().unwrap();
        assert!(sampler.look(Duration::from_secs(6)).is_err());
        assert!(asked[1].contains("guest-stats-polling-interval") && asked[2].contains("/machine/peripheral/balloon0"));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn figures_that_say_nothing_are_errors() {
        let why = |said: &Value| format!("{:#}", used(said).unwrap_err());
        assert!(why(&stats(5, 1000, NONE)).contains("does not say what is available"));
        assert!(why(&json!({"stats": {"stat-total-memory": 1000}, "last-update": 5})).contains("does not say"));
        assert!(why(&stats(5, 1000, 1001)).contains("1001 of them"));
    }
}

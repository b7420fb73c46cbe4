// SPDX-License-Identifier: GPL-2.0-or-later
//! Fetches an image: for as long as there is progress, however slow the line, and not much longer.

use crate::fault::{At, Fault, Result, io};
use crate::fetch::{Bounds, Ended, attempt};
use overlayroot_linux::probe::image::checksum;
use std::fs::File;
use std::io::Seek;
use std::time::{Duration, Instant};

/// From where.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) url: String,
    /// The same for people, without a password.
    pub(super) told: String,
    pub(super) proxy: Option<String>,
    /// Seconds without progress after which no further attempt is made, seconds that end one.
    pub(super) seconds: (u64, u64),
}

/// Fetches it into an empty file of at most `most` bytes, and checks it; a second time where the sum is wrong.
pub(super) fn whole(source: &Source, into: &File, most: u64, sum: Option<&str>) -> Result<u64> {
    let told = &source.told;
    let bounds = Bounds { total: super::DAY, retry: source.seconds.0, stall: source.seconds.1, bytes: most.max(1) };
    let mut left = 1;
    loop {
        into.set_len(0).at(|| format!("emptying the file for {told}"))?;
        let bytes = download(source, into, bounds, false)?.unwrap_or(0);
        if bytes == 0 {
            return Err(Fault { word: "fetch", text: format!("{told} is empty") });
        }
        let Some(sum) = sum else {
            return Ok(bytes);
        };
        let mut from = into;
        from.rewind().at(|| format!("reading {told}"))?;
        let (bytes, is) = checksum(into.try_clone().at(|| format!("reading {told}"))?, told).map_err(io)?;
        if is == sum {
            return Ok(bytes);
        }
        let text = format!("{told} ({bytes} bytes) has sha256 {is}, wanted is {sum}");
        if left == 0 {
            return Err(Fault { word: "sha256", text });
        }
        left -= 1;
        tracing::warn!("{text}; fetching it once more");
    }
}

/// Fetches it into a file, going on where a broken attempt ended; its length, or nothing where the server says that
/// there is no such file and `optional` takes that for an answer.
pub(super) fn download(source: &Source, into: &File, bounds: Bounds, optional: bool) -> Result<Option<u64>> {
    let mut way = Way { have: 0, best: 0, ranges: true, pause: 1, last: Instant::now() };
    let mut said = (Instant::now(), 0);
    loop {
        let ended =
            attempt(&source.url, source.proxy.as_deref(), into, way.have, bounds, &mut |now| tell(now, &mut said))?;
        let now = into.metadata().at(|| format!("looking at {}", source.told))?.len();
        match ended {
            None => return Ok(Some(now)),
            Some(ended) if ended.missing && optional => return Ok(None),
            Some(ended) => way.next(source, &ended, now, bounds)?,
        }
    }
}

/// How far it is, each 256 MiB, and each half a minute on a slow line.
fn tell(now: u64, said: &mut (Instant, u64)) {
    const SAY: u64 = 256 << 20;
    const WAIT: Duration = Duration::from_secs(30);
    if now / SAY > said.1 / SAY || (said.0.elapsed() > WAIT && now > said.1) {
        *said = (Instant::now(), now);
        tracing::info!("{} M of it are here", now >> 20);
    }
}

struct Way {
    /// Bytes of the file that the next attempt need not fetch.
    have: u64,
    /// Most that ever were there: a server that always breaks off at the same place makes no progress.
    best: u64,
    /// The server can go on in the midst of a file, as far as is known.
    ranges: bool,
    pause: u64,
    /// When there last was progress.
    last: Instant,
}

impl Way {
    /// Waits for the next attempt, or says why there is none.
    fn next(&mut self, source: &Source, ended: &Ended, now: u64, bounds: Bounds) -> Result<()> {
        self.ranges &= !ended.anew;
        if now > self.best {
            (self.best, self.last, self.pause) = (now, Instant::now(), 1);
        }
        self.have = if self.ranges { now } else { 0 };
        let silent = self.last.elapsed().as_secs();
        // A file that is not there may be on its way: nothing else can be done than to look again.
        let again = ended.again || ended.missing || ended.anew;
        let told = &source.told;
        if !again || silent + self.pause > bounds.retry {
            return Err(Fault { word: ended.word, text: format!("{told}: {}, after {silent} s", ended.text) });
        }
        let left = bounds.retry - silent;
        tracing::warn!("{told}: {}; trying again in {} s, giving up in {left} s", ended.text, self.pause);
        std::thread::sleep(Duration::from_secs(self.pause));
        self.pause = (self.pause * 2).min(15);
        Ok(())
    }
}

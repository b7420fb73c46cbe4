// SPDX-License-Identifier: GPL-2.0-or-later
//! What happens to the server when a node's console shows a text.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Event;
use super::server::Server;
use crate::machine::read;

/// Waits for the events' texts in the console's log, and does what they say, until `over`.
///
/// # Errors
/// An event whose text did not come, and a line that fails on the server.
pub fn follow(events: &[Event], log: &Path, server: &Server, over: &AtomicBool) -> Result<()> {
    let mut waiting: Vec<(&Event, Option<Instant>)> = events.iter().map(|event| (event, None)).collect();
    while !waiting.is_empty() && !over.load(Ordering::Relaxed) {
        let text = read(log);
        for (event, seen) in &mut waiting {
            if seen.is_none() && text.contains(&event.at) {
                *seen = Some(Instant::now());
            }
        }
        let is_due = |event: &Event, seen: Option<Instant>| {
            seen.is_some_and(|seen| seen.elapsed() >= Duration::from_secs(event.after))
        };
        let (due, rest) = waiting.into_iter().partition(|(event, seen)| is_due(event, *seen));
        waiting = rest;
        let due: Vec<(&Event, Option<Instant>)> = due;
        for (event, _) in due {
            server.run(&event.run)?;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let missed = waiting.first().map(|(event, _)| event.at.as_str());
    ensure!(missed.is_none(), "the console never showed '{}'", missed.unwrap_or_default());
    Ok(())
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! What `top` shows of two looks: rates of bytes and inodes, and when the file system is full at this rate.

use super::growth::{Growth, Row, Snapshot};
use overlayroot_core::value::size::rounded;
use overlayroot_diff::shown;
use overlayroot_linux::sys::statvfs::Room;
use std::time::Instant;

/// One look.
pub struct Look {
    /// When it was taken.
    pub at: Instant,
    /// The upper.
    pub snapshot: Snapshot,
    /// Its file system, where that can be asked.
    pub room: Option<Room>,
}

/// What is shown of one look. `title` is the upper's directory, and its file system.
pub fn page(title: &(String, String), now: &Look, before: Option<&Look>, rows: usize) -> String {
    let (upper, file_system) = title;
    let all = now.snapshot.all;
    let mut text = format!("{upper}: {} in {} inodes", rounded(all.bytes), all.inodes);
    let left = now.room.as_ref().zip(before).and_then(|(room, before)| Left::of(room, before, now.at));
    let by_inodes = left.as_ref().is_some_and(|left| left.inodes_first());
    let grown = before.map(|before| (now.snapshot.grown(&before.snapshot, by_inodes), seconds(before.at, now.at)));
    if let Some((grown, seconds)) = &grown {
        text.push_str(&format!(", {}, {}", rate(grown.all, *seconds), inode_rate(grown.all, *seconds)));
    }
    text.push('\n');
    if let Some(room) = &now.room {
        text.push_str(&format!("{file_system}: {}", free(room)));
        text.push_str(&left.map(|left| left.says()).unwrap_or_default());
        text.push('\n');
    }
    let Some((grown, seconds)) = grown else {
        text.push_str("\nlargest directories\n");
        for (bytes, path) in now.snapshot.largest(rows) {
            text.push_str(&format!("{:>12}  {}\n", rounded(bytes), shown(&path)));
        }
        return text;
    };
    text.push_str(&format!("\n{:>14} {:>10} {:>12}  directories that grow\n", "bytes", "inodes", "size"));
    let line = |row: &Row, inodes: &str| {
        let (rate, size, path) = (rate(row.growth, seconds), rounded(row.sum.bytes), shown(&row.path));
        format!("{rate:>14} {inodes:>10} {size:>12}  {path}\n")
    };
    let directories = grown.directories.iter().take(rows);
    directories.for_each(|row| text.push_str(&line(row, &inode_rate(row.growth, seconds))));
    text.push_str(&format!("\n{:>14} {:>10} {:>12}  files that grow\n", "bytes", "", "size"));
    grown.files.iter().take(rows).for_each(|row| text.push_str(&line(row, "")));
    text
}

fn seconds(before: Instant, now: Instant) -> f64 {
    now.duration_since(before).as_secs_f64().max(0.001)
}

/// What is free. What is kept back for root is no part of it: it can't be had by an overlay.
fn free(room: &Room) -> String {
    let all = room.bytes.saturating_sub(room.free).saturating_add(room.available);
    let bytes = format!("{} of {} free", rounded(room.available), rounded(all));
    match room.inodes {
        0 => bytes,
        inodes => format!("{bytes}, {} of {inodes} inodes free", room.inodes_free),
    }
}

fn rate(growth: Growth, seconds: f64) -> String {
    let sign = if growth.bytes < 0 { '-' } else { '+' };
    format!("{sign}{}/s", rounded((growth.bytes.unsigned_abs() as f64 / seconds) as u64))
}

fn inode_rate(growth: Growth, seconds: f64) -> String {
    format!("{:+.1}/s", growth.inodes as f64 / seconds)
}

/// How long it lasts, if it goes on like that, whoever it is that writes there.
#[derive(Debug, PartialEq)]
struct Left {
    bytes: Option<f64>,
    inodes: Option<f64>,
}

impl Left {
    fn of(room: &Room, before: &Look, now: Instant) -> Option<Self> {
        let was = before.room.as_ref()?;
        let seconds = seconds(before.at, now);
        let lasts = |was: u64, now: u64| {
            let gone = was.saturating_sub(now) as f64;
            (gone > 0.0).then(|| now as f64 * seconds / gone)
        };
        let inodes = (room.inodes > 0).then(|| lasts(was.inodes_free, room.inodes_free)).flatten();
        Some(Self { bytes: lasts(was.available, room.available), inodes })
    }

    fn inodes_first(&self) -> bool {
        match (self.bytes, self.inodes) {
            (Some(bytes), Some(inodes)) => inodes < bytes,
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }

    fn says(&self) -> String {
        let (lasts, of) = if self.inodes_first() { (self.inodes, " of inodes") } else { (self.bytes, "") };
        lasts.map(|seconds| format!("; at this rate full{of} in {}", span(seconds))).unwrap_or_default()
    }
}

/// A time as people say it; more than it can be known is not said.
fn span(seconds: f64) -> String {
    let units = [(86_400.0, "days"), (3600.0, "h"), (60.0, "min")];
    if seconds >= 400.0 * 86_400.0 {
        return "more than a year".to_owned();
    }
    let fits = units.iter().find(|(unit, _)| seconds >= 2.0 * unit);
    fits.map_or_else(|| format!("{seconds:.0} s"), |(unit, name)| format!("{:.0} {name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn room(available: u64, inodes_free: u64) -> Room {
        Room { bytes: 1 << 30, free: available, available, inodes: 1000, inodes_free }
    }

    fn look(at: Instant, room: Room) -> Look {
        Look { at, snapshot: Snapshot::default(), room: Some(room) }
    }

    #[test]
    fn what_runs_out_first_is_said() {
        let begun = Instant::now();
        let now = begun + Duration::from_secs(2);
        let left = |room: Room, was: Room| Left::of(&room, &look(begun, was), now).unwrap();
        // 10 MiB in 2 s, of 300 MiB that are left.
        let bytes = left(room(300 << 20, 500), room(310 << 20, 500));
        assert_eq!(bytes.says(), "; at this rate full in 60 s");
        let inodes = left(room(300 << 20, 100), room(310 << 20, 200));
        assert!(inodes.inodes_first());
        assert_eq!(inodes.says(), "; at this rate full of inodes in 2 s");
        assert_eq!(left(room(300 << 20, 500), room(200 << 20, 400)).says(), "", "it gets emptier");
    }

    #[test]
    fn both_rates_are_shown() {
        let begun = Instant::now();
        let (before, now) =
            (look(begun, room(310 << 20, 500)), look(begun + Duration::from_secs(2), room(300 << 20, 500)));
        let title = ("/upper".to_owned(), "tmpfs".to_owned());
        let text = page(&title, &now, Some(&before), 3);
        assert!(text.starts_with("/upper: 0.0 B in 0 inodes, +0.0 B/s, +0.0/s\ntmpfs: 300.0 MiB of "), "{text}");
        assert!(text.contains("500 of 1000 inodes free; at this rate full in 60 s\n"), "{text}");
        assert!(page(&title, &now, None, 3).contains("largest directories"), "{text}");
        assert_eq!(inode_rate(Growth { bytes: 0, inodes: -3 }, 2.0), "-1.5/s");
    }

    #[test]
    fn times_read_well() {
        for (seconds, want) in [
            (5.0, "5 s"),
            (119.0, "119 s"),
            (600.0, "10 min"),
            (9000.0, "2 h"),
            (3e5, "3 days"),
            (1e9, "more than a year"),
        ] {
            assert_eq!(span(seconds), want);
        }
    }
}

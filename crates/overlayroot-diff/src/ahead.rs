// SPDX-License-Identifier: GPL-2.0-or-later
//! A second thread that asks for the lower's inodes of a directory, from its end, while the walk comes from its
//! beginning: two system calls for each file of the upper are what a walk costs.

use crate::layers::Dir;
use crate::names::Names;
use crate::stat::Stat;
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// So many names are one piece of work, which bounds the memory.
const WINDOW: usize = 256;
/// Fewer are not worth waking a thread for.
const LEAST: usize = 32;

pub(crate) type Answer = rustix::io::Result<Stat>;

pub(crate) struct Job {
    dir: Dir,
    /// Each with its NUL.
    names: Vec<u8>,
    begun: Arc<AtomicBool>,
    answers: SyncSender<Vec<Answer>>,
}

/// What was asked for, of the names from `first` on.
pub(crate) struct Window {
    first: usize,
    begun: Arc<AtomicBool>,
    from: Receiver<Vec<Answer>>,
    answers: Option<Vec<Answer>>,
}

/// The thread, once there was work for it.
pub(crate) enum Ahead {
    NotYet,
    Never,
    Runs(Option<Sender<Job>>, Option<JoinHandle<()>>),
}

impl Ahead {
    /// Has the later names of a piece asked for, where one begins with `number`.
    pub fn window(&mut self, dirs: &[Dir], names: &Names, number: usize) -> Option<Window> {
        let (dir, len) = (dirs.first()?, names.len().saturating_sub(number).min(WINDOW));
        if len < LEAST {
            return None;
        }
        // The walk asks for the upper's inode of every name, and for the lower's of these; so both end together.
        let first = number + len / 3;
        let begun = Arc::new(AtomicBool::new(false));
        let (answers, from) = sync_channel(1);
        let names = names.text(first, number + len);
        let job = Job { dir: dir.clone(), names, begun: Arc::clone(&begun), answers };
        self.thread()?.send(job).ok()?;
        Some(Window { first, begun, from, answers: None })
    }

    fn thread(&mut self) -> Option<&Sender<Job>> {
        if matches!(self, Self::NotYet) {
            *self = Self::start().unwrap_or(Self::Never);
        }
        match self {
            Self::Runs(sender, _) => sender.as_ref(),
            _ => None,
        }
    }

    fn start() -> Option<Self> {
        std::thread::available_parallelism().ok().filter(|cpus| cpus.get() > 1)?;
        let (sender, jobs) = channel();
        let thread = std::thread::Builder::new().name("ahead".to_owned()).spawn(move || work(&jobs)).ok()?;
        Some(Self::Runs(Some(sender), Some(thread)))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Self::Runs(sender, thread) = self {
            drop(sender.take());
            // It panics nowhere, and there is nobody left to tell.
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}

fn work(jobs: &Receiver<Job>) {
    for job in jobs {
        if job.begun.swap(true, Ordering::Relaxed) {
            continue;
        }
        let names = job.names.split_inclusive(|byte| *byte == 0);
        let texts = names.filter_map(|name| CStr::from_bytes_with_nul(name).ok());
        let _ = job.answers.send(texts.map(|name| Stat::at(job.dir.fd(), name)).collect());
    }
}

impl Window {
    /// The answer for a name, if it was asked for. What the thread has not begun with by now, the walk does itself.
    pub fn answer(&mut self, number: usize) -> Option<Answer> {
        let index = number.checked_sub(self.first)?;
        if self.answers.is_none() {
            let taken_back = !self.begun.swap(true, Ordering::Relaxed);
            self.answers = Some(if taken_back { Vec::new() } else { self.from.recv().unwrap_or_default() });
        }
        self.answers.as_ref()?.get(index).copied()
    }
}

/// Whether a new piece begins with this name.
pub(crate) fn begins(number: usize) -> bool {
    number % WINDOW == 0
}

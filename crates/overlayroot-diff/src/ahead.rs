// SPDX-License-Identifier: GPL-2.0-or-later
//! A second thread that asks for the lower's inodes of a directory, from its end, while the walk comes from its
//! beginning: two system calls for each file of the upper are what a walk costs. Neither waits for the other: what the
//! thread has not answered by then, the walk asks itself.

use crate::layers::Dir;
use crate::names::Names;
use crate::stat::{Answer, Stat};
use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So many names are one piece of work, which bounds the memory.
const WINDOW: usize = 256;
/// Fewer are not worth a thread.
const LEAST: usize = 32;
/// So long the thread looks for the next piece before it sleeps: waking it costs as much as 50 answers.
const AWAKE: Duration = Duration::from_micros(100);

/// A piece of work.
pub(crate) struct Job {
    dir: Dir,
    /// Each with its NUL.
    names: Vec<u8>,
    answers: Vec<OnceLock<Answer>>,
    /// How far the walk has come.
    walked: AtomicUsize,
}

/// What was asked for, of the names from `first` on.
pub(crate) struct Window {
    first: usize,
    job: Arc<Job>,
}

/// The thread, once there was work for it.
pub(crate) enum Ahead {
    NotYet,
    Never,
    Runs(Option<Sender<Arc<Job>>>, Option<JoinHandle<()>>),
}

impl Ahead {
    /// Has the names of a piece asked for, where one begins with `number`.
    pub fn window(&mut self, dirs: &[Dir], names: &Names, number: usize) -> Option<Window> {
        let (dir, len) = (dirs.first()?, names.len().saturating_sub(number).min(WINDOW));
        if len < LEAST {
            return None;
        }
        let job = Arc::new(Job {
            dir: dir.clone(),
            names: names.text(number, number + len),
            answers: std::iter::repeat_with(OnceLock::new).take(len).collect(),
            walked: AtomicUsize::new(0),
        });
        self.thread()?.send(Arc::clone(&job)).ok()?;
        Some(Window { first: number, job })
    }

    fn thread(&mut self) -> Option<&Sender<Arc<Job>>> {
        if matches!(self, Self::NotYet) {
            *self = Self::start().unwrap_or(Self::Never);
        }
        match self {
            Self::Runs(sender, _) => sender.as_ref(),
            Self::NotYet | Self::Never => None,
        }
    }

    fn start() -> Option<Self> {
        std::thread::available_parallelism().ok().filter(|cpus| cpus.get() > 1)?;
        let (sender, jobs) = channel();
        let run = move || {
            while let Some(job) = next(&jobs) {
                job.work();
            }
        };
        let thread = std::thread::Builder::new().name("ahead".to_owned()).spawn(run).ok()?;
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

fn next(jobs: &Receiver<Arc<Job>>) -> Option<Arc<Job>> {
    let end = Instant::now() + AWAKE;
    loop {
        match jobs.try_recv() {
            Ok(job) => return Some(job),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) if Instant::now() > end => return jobs.recv().ok(),
            Err(TryRecvError::Empty) => std::hint::spin_loop(),
        }
    }
}

impl Job {
    fn work(&self) {
        let mut rest = self.names.as_slice();
        for (index, answer) in self.answers.iter().enumerate().rev() {
            if index <= self.walked.load(Ordering::Relaxed) {
                return;
            }
            let Some((name, before)) = last(rest) else { return };
            rest = before;
            let _ = answer.set(Stat::at(self.dir.fd(), name));
        }
    }
}

/// The last of names that each have a NUL behind them, and those before it.
fn last(names: &[u8]) -> Option<(&CStr, &[u8])> {
    let (_, text) = names.split_last()?;
    let from = text.iter().rposition(|byte| *byte == 0).map_or(0, |at| at + 1);
    let (before, name) = names.split_at_checked(from)?;
    Some((CStr::from_bytes_with_nul(name).ok()?, before))
}

impl Window {
    /// The answer for a name, if it is there.
    pub fn answer(&self, number: usize) -> Option<Answer> {
        let index = number.checked_sub(self.first)?;
        self.job.walked.store(index, Ordering::Relaxed);
        self.job.answers.get(index)?.get().copied()
    }
}

/// Whether a new piece begins with this name.
pub(crate) fn begins(number: usize) -> bool {
    number % WINDOW == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_the_last_to_the_first() {
        let mut rest = &b"one\0two\0x\0"[..];
        let mut all = Vec::new();
        while let Some((name, before)) = last(rest) {
            all.push(name);
            rest = before;
        }
        assert_eq!(all, [c"x", c"two", c"one"]);
        assert!(rest.is_empty() && last(b"no end").is_none());
    }

    #[test]
    fn answers_are_those_of_the_names() {
        let tree = tempfile::tempdir().unwrap();
        for number in 0..40 {
            std::fs::write(tree.path().join(format!("{number:02}")), vec![0; number]).unwrap();
        }
        let dir = Dir::new(std::fs::File::open(tree.path()).unwrap().into(), 0, false);
        let text: Vec<u8> = (0..41).flat_map(|number| format!("{number:02}\0").into_bytes()).collect();
        let answers = std::iter::repeat_with(OnceLock::new).take(41).collect();
        let job = Job { dir, names: text, answers, walked: AtomicUsize::new(5) };
        job.work();
        let window = Window { first: 256, job: Arc::new(job) };
        assert!(window.answer(256 + 5).is_none() && window.answer(256 + 41).is_none() && window.answer(3).is_none());
        for number in 6..40 {
            assert_eq!(window.answer(256 + number).unwrap().unwrap().size, number as u64);
        }
        assert_eq!(window.answer(256 + 40).unwrap().unwrap_err(), rustix::io::Errno::NOENT);
    }
}

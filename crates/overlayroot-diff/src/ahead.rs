// SPDX-License-Identifier: GPL-2.0-or-later
//! A second thread that asks for what the walk will need, from the end of a piece of work, while the walk comes from its
//! beginning: what the kernel is asked for each file is what a walk costs. Neither waits for the other: what the thread
//! has not answered by then, the walk asks itself. It sleeps where there is nothing to do; that there seldom is nothing
//! is due to the walk, which hands in the next directory before it is through with one.

use crate::ask::{Asked, FEW, Question};
use crate::names::Names;
use crate::way::Way;
use crate::xattr::Xattrs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

/// So many names are one piece of work, which bounds the memory.
pub(crate) const WINDOW: usize = 256;
/// Fewer are not worth a thread.
const LEAST: usize = 32;

/// A piece of work.
pub(crate) struct Job {
    question: Question,
    names: Arc<Names>,
    first: usize,
    /// For a few names each.
    parts: Vec<OnceLock<Box<[Asked]>>>,
    /// So many of the parts the walk has come to.
    walked: AtomicUsize,
}

/// What is asked of the names from one on.
pub(crate) struct Window(Arc<Job>);

/// The thread, once there was work for it.
pub(crate) enum Ahead {
    /// Its marks are `user.overlay.*`, or not.
    NotYet(bool),
    Never,
    Runs(Option<Sender<Arc<Job>>>, Option<JoinHandle<()>>),
}

impl Ahead {
    /// Whether there is somebody to hand in work early for.
    pub fn runs(&self) -> bool {
        matches!(self, Self::Runs(..))
    }

    /// The piece of work that begins with the name `first`, where there is any.
    pub fn window(&mut self, question: &Question, names: &Arc<Names>, first: usize) -> Option<Window> {
        let len = names.len().saturating_sub(first).min(WINDOW);
        if len == 0 || !question.any() {
            return None;
        }
        let parts = std::iter::repeat_with(OnceLock::new).take(len.div_ceil(FEW)).collect();
        let (question, names) = (question.clone(), Arc::clone(names));
        let job = Arc::new(Job { question, names, first, parts, walked: AtomicUsize::new(0) });
        if len >= LEAST {
            // where there is no thread, the walk asks
            let _ = self.thread().map(|jobs| jobs.send(Arc::clone(&job)));
        }
        Some(Window(job))
    }

    fn thread(&mut self) -> Option<&Sender<Arc<Job>>> {
        if let Self::NotYet(user) = self {
            *self = Self::start(*user).unwrap_or(Self::Never);
        }
        match self {
            Self::Runs(sender, _) => sender.as_ref(),
            Self::NotYet(_) | Self::Never => None,
        }
    }

    /// None where there is one processor.
    fn start(user: bool) -> Option<Self> {
        std::thread::available_parallelism().ok().filter(|cpus| cpus.get() > 1)?;
        let (sender, jobs) = channel::<Arc<Job>>();
        let run = move || {
            let mut xattrs = Xattrs::by(Way::own(), user);
            while let Ok(job) = jobs.recv() {
                job.work(&mut xattrs);
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

impl Job {
    /// From the end, until the walk is met.
    fn work(&self, xattrs: &mut Xattrs) {
        for (part, answers) in self.parts.iter().enumerate().rev() {
            if part < self.walked.load(Ordering::Relaxed) {
                return;
            }
            let _ = answers.set(self.ask(part, xattrs));
        }
    }

    fn ask(&self, part: usize, xattrs: &mut Xattrs) -> Box<[Asked]> {
        let from = self.first + part * FEW;
        let to = self.names.len().min(self.first + WINDOW).min(from + FEW);
        self.question.ask((from..to).map_while(|number| self.names.get(number)), xattrs)
    }
}

impl Window {
    /// Whether a name is in it.
    pub fn covers(&self, number: usize) -> bool {
        number.checked_sub(self.0.first).is_some_and(|index| index < WINDOW)
    }

    /// What is said of the name that the walk has come to.
    pub fn come_to(&self, number: usize, xattrs: &mut Xattrs) -> Option<&Asked> {
        let (part, index) = parted(number.checked_sub(self.0.first)?);
        self.0.walked.store(part + 1, Ordering::Relaxed);
        let answers = self.0.parts.get(part)?;
        if answers.get().is_none() {
            // not waiting for the thread, should it be at these at the moment
            let _ = answers.set(self.0.ask(part, xattrs));
        }
        answers.get()?.get(index)
    }

    /// The same of one that it looks at early, where it is there.
    pub fn peek(&self, number: usize) -> Option<&Asked> {
        let (part, index) = parted(number.checked_sub(self.0.first)?);
        self.0.parts.get(part)?.get()?.get(index)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // nobody wants the rest
        self.0.walked.store(usize::MAX, Ordering::Relaxed);
    }
}

fn parted(index: usize) -> (usize, usize) {
    (index / FEW, index % FEW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Dir;
    use std::mem::MaybeUninit;

    const FILES: usize = 300;

    fn answers(window: &Window) -> Vec<bool> {
        window.0.parts.iter().map(|part| part.get().is_some()).collect()
    }

    #[test]
    fn what_is_not_answered_from_the_end_is_asked_from_the_beginning() {
        let tree = tempfile::tempdir().unwrap();
        for number in 0..FILES {
            std::fs::write(tree.path().join(format!("{number:03}")), vec![0; number]).unwrap();
        }
        let dir = Dir::new(std::fs::File::open(tree.path()).unwrap().into(), 0, false);
        let mut names = Names::default();
        names.read(dir.fd(), false, &mut vec![MaybeUninit::uninit(); 65536]).unwrap();
        names.sort();
        let names = Arc::new(names);
        let question = Question { upper: None, lower: Some(dir), stat: false, detail: false };
        let mut xattrs = Xattrs::new(true);
        // no thread: each part is asked when it is come to
        let window = Ahead::Never.window(&question, &names, 0).unwrap();
        assert!(window.covers(0) && window.covers(255) && !window.covers(256) && window.peek(0).is_none());
        let mut size = |window: &Window, number: usize| {
            window.come_to(number, &mut xattrs).map(|asked| asked.lower.unwrap().unwrap().size)
        };
        assert_eq!(size(&window, 9), Some(9));
        let begun = answers(&window);
        assert_eq!(begun.iter().filter(|there| **there).count(), 1, "{begun:?}");
        assert!(begun[1] && window.peek(15).is_some() && window.peek(16).is_none());
        // the other side stops where the walk is
        window.0.work(&mut Xattrs::new(true));
        assert_eq!(answers(&window).iter().filter(|there| !**there).count(), 1, "all but the first part");
        assert_eq!((size(&window, 255), size(&window, 0)), (Some(255), Some(0)));
        let last = Ahead::Never.window(&question, &names, 256).unwrap();
        last.0.work(&mut Xattrs::new(true));
        assert!(answers(&last).iter().all(|there| *there));
        assert_eq!((size(&last, 299), size(&last, 300), size(&last, 255)), (Some(299), None, None));
        assert!(Ahead::Never.window(&question, &names, 300).is_none());
        let job = Arc::clone(&Ahead::Never.window(&question, &names, 0).unwrap().0);
        job.work(&mut Xattrs::new(true));
        assert!(job.parts.iter().all(|part| part.get().is_none()), "nobody wants it any more");
        assert!(Ahead::Never.window(&Question { lower: None, ..question }, &names, 0).is_none(), "nothing to ask");
    }
}

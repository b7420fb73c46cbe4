// SPDX-License-Identifier: GPL-2.0-or-later
//! One processor for each guest of user-mode Linux.
//!
//! Its kernel and the programs in it are processes which wake each other at each system call. Where the host is a virtual
//! machine itself, waking a processor that sleeps leaves that machine: a boot of 8 s on one processor took 20 on two.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use rustix::thread::{CpuSet, sched_getaffinity};

/// Guests on each processor that this program may use; made at the first use.
static GUESTS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// A processor that a guest stays on, for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Processor(Option<usize>);

impl Processor {
    /// The one with the fewest guests of this program; none where the kernel does not say which there are.
    pub(crate) fn take() -> Self {
        let mut guests = GUESTS.lock().unwrap_or_else(PoisonError::into_inner);
        if guests.is_empty() {
            guests.extend(allowed().into_iter().map(|number| (number, 0)));
        }
        let least = guests.iter_mut().min_by_key(|(_, guests)| *guests);
        Self(least.map(|(number, guests)| {
            *guests += 1;
            *number
        }))
    }

    /// Begins a command that stays on it.
    pub(crate) fn keep(&self, command: &mut Command) {
        if let Some(number) = self.0 {
            command.args(["taskset", "--cpu-list", &number.to_string()]);
        }
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        let mut all = GUESTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, guests)) = all.iter_mut().find(|(number, _)| Some(*number) == self.0) {
            *guests -= 1;
        }
    }
}

fn allowed() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|number| set.is_set(*number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_are_spread_over_the_processors_and_leave_them_again() {
        let count = allowed().len();
        assert!(count > 0);
        for _ in 0..2 {
            let mut taken: Vec<_> = (0..count).map(|_| Processor::take()).collect();
            taken.sort_by_key(|processor| processor.0);
            assert_eq!(taken.iter().filter_map(|processor| processor.0).collect::<Vec<_>>(), allowed());
        }
        let mut command = Command::new("env");
        let processor = Processor::take();
        processor.keep(&mut command);
        let output = command.args(["grep", "Cpus_allowed_list", "/proc/self/status"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.split_whitespace().last(), processor.0.map(|number| number.to_string()).as_deref());
    }
}

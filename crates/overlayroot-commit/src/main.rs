// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-commit`: started by `overlay-assemble` where `overlayctl commit` asked for it, before the overlay is mounted;
//! by hand with the same words, on layers that no overlay has.

#[cfg(not(debug_assertions))]
#[path = "../../overlayroot-initramfs/src/backtrace.rs"]
mod backtrace;

mod job;

use job::Job;
use lexopt::prelude::{Long, Short, Value, ValueExt};
use overlayroot_core::feature::commit::{SECONDS, State};
use overlayroot_core::value::diagnostics::plain;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "Usage: overlay-commit --upper DIR --lower DIR --request FILE --trash DIR
       [--fingerprint FILE] [--result FILE] [--own PATH] [--keep PATH]...
       [--refused TEXT] [--moved] [--shared] [--closed] [--seconds N]

Move the changes of an upper into its lower, or discard some of them. Neither
may be part of a mounted overlay. After each step of a move an overlay of both
shows the same tree, so it can be ended at any time and started again. Started
by overlay-assemble.

  --upper DIR         the upper
  --lower DIR         the lower; by the same mount where both are on one file
                      system
  --request FILE      what overlayctl commit or revert asked for; removed last
  --trash DIR         where discarded changes go, on the upper's file system
  --fingerprint FILE  what tells whether the lower is another one: removed first
  --result FILE       where the result is written, as JSON
  --own PATH          path of the root that the upper lies at
  --keep PATH         path of the root that stays as it is in both
  --refused TEXT      why nothing can be moved into the lower
  --moved             the lower has changed since the upper was created
  --shared            copies share their blocks with the upper
  --closed            the lower is read-only: make it writable
  --seconds N         when to stop [60]
  -h, --help          print this help
  -V, --version       print the version

Prints one line.
Exit: 0 done, or the next boot goes on, 1 refused or failed, 64 wrong arguments.
";

fn main() -> ExitCode {
    let job = match parse() {
        Ok(Some(job)) => job,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("overlay-commit: {} (see overlay-commit --help)", plain(&error.to_string()));
            return ExitCode::from(64);
        }
    };
    let committed = job.run();
    println!("{committed}");
    match committed.state {
        State::Done | State::Partial => ExitCode::SUCCESS,
        State::Refused | State::Failed => ExitCode::FAILURE,
    }
}

fn parse() -> Result<Option<Job>, lexopt::Error> {
    let mut job = Job { time: Duration::from_secs(SECONDS), ..Job::default() };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        let text = |parser: &mut lexopt::Parser| parser.value()?.string();
        match arg {
            Long("upper") => job.upper = text(&mut parser)?,
            Long("lower") => job.lower = text(&mut parser)?,
            Long("request") => job.request = text(&mut parser)?,
            Long("trash") => job.trash = text(&mut parser)?,
            Long("result") => job.result = Some(text(&mut parser)?),
            Long("refused") => job.refused = Some(text(&mut parser)?),
            Long("closed") => job.closed = true,
            Long("fingerprint") => job.fingerprint = Some(text(&mut parser)?),
            Long("own") => job.own = Some(text(&mut parser)?),
            Long("keep") => job.keep.push(text(&mut parser)?),
            Long("moved") => job.moved = true,
            Long("shared") => job.shared = true,
            Long("seconds") => job.time = Duration::from_secs(parser.value()?.parse()?),
            Long("help") | Short('h') => return said(HELP),
            Long("version") | Short('V') => return said(concat!("overlayroot-rs ", env!("CARGO_PKG_VERSION"), "\n")),
            other @ (Short(_) | Long(_) | Value(_)) => return Err(other.unexpected()),
        }
    }
    if [&job.upper, &job.lower, &job.request, &job.trash].iter().any(|word| word.is_empty()) {
        return Err("--upper, --lower, --request and --trash are needed".into());
    }
    Ok(Some(job))
}

fn said(text: &str) -> Result<Option<Job>, lexopt::Error> {
    print!("{text}");
    Ok(None)
}

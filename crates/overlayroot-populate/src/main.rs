// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-populate`: started by `overlay-assemble` where an archive is asked for; by hand with the same words.
//! Under its other names it is `overlay-image`.

#[cfg(not(debug_assertions))]
#[path = "../../overlayroot-initramfs/src/backtrace.rs"]
mod backtrace;

mod imagetool;

use lexopt::prelude::{Long, Short, Value, ValueExt};
use overlayroot_core::value::diagnostics::plain;
use overlayroot_populate::run::{Job, run};
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "Usage: overlay-populate --upper DIR --work DIR --scratch DIR --lower DIR [--sha256 HEX]
       [--devices] [--proxy URL] [--told TEXT] URL|PATH

Fetch a tar archive (plain, gzip, zstd) with curl, or take PATH of the lower,
and unpack it into the upper, an empty directory: completely or not at all.
overlayroot-rs(7) lists what is refused. Started by overlay-assemble.

  --upper DIR, --work DIR  the upper and its work directory, on one file system
  --scratch DIR            directory for the archive, on the same
  --lower DIR              the lower, for directories that are not listed
  --sha256 HEX             the sum that the archive must have
  --devices                allow device nodes and pipes
  --proxy URL              use this proxy
  --told TEXT              the source in messages, without a password
  --seconds N,N,N          all attempts, retries, without progress
  -h, --help               print this help
  -V, --version            print the version

Exit: 0 done, 1 failed (the last line says why), 64 wrong arguments.
";

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    let name = Path::new(&name).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if imagetool::is_meant(name) {
        return imagetool::main(name);
    }
    let job = match parse() {
        Ok(Some(job)) => job,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("overlay-populate: {} (see overlay-populate --help)", plain(&error.to_string()));
            return ExitCode::from(64);
        }
    };
    match run(&job) {
        Ok(lost) => {
            lost.iter().for_each(|lost| println!("{}", plain(lost)));
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("{}", plain(&fault.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Option<Job>, lexopt::Error> {
    let mut job = Job { seconds: (600, 120, 30), ..Job::default() };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        let text = |parser: &mut lexopt::Parser| parser.value()?.string();
        match arg {
            Long("upper") => job.upper = text(&mut parser)?,
            Long("work") => job.work = text(&mut parser)?,
            Long("scratch") => job.scratch = text(&mut parser)?,
            Long("lower") => job.lower = text(&mut parser)?,
            Long("sha256") => job.sha256 = Some(text(&mut parser)?.to_ascii_lowercase()),
            Long("proxy") => job.proxy = Some(text(&mut parser)?),
            Long("told") => job.told = text(&mut parser)?,
            Long("seconds") => job.seconds = seconds(&text(&mut parser)?)?,
            Long("devices") => job.devices = true,
            Long("help") | Short('h') => return said(HELP),
            Long("version") | Short('V') => return said(concat!("overlayroot-rs ", env!("CARGO_PKG_VERSION"), "\n")),
            Value(source) if job.source.is_empty() => job.source = source.string()?,
            other @ (Short(_) | Long(_) | Value(_)) => return Err(other.unexpected()),
        }
    }
    let given = [&job.upper, &job.work, &job.scratch, &job.lower, &job.source];
    if given.iter().any(|word| word.is_empty()) {
        return Err("--upper, --work, --scratch, --lower and a source are needed".into());
    }
    if job.told.is_empty() {
        job.told = overlayroot_core::value::redact::told(&job.source);
    }
    Ok(Some(job))
}

fn said(text: &str) -> Result<Option<Job>, lexopt::Error> {
    print!("{text}");
    Ok(None)
}

fn seconds(text: &str) -> Result<(u64, u64, u64), lexopt::Error> {
    let numbers: Vec<u64> = text.split(',').filter_map(|number| number.parse().ok()).collect();
    match numbers.as_slice() {
        [total, retry, stall] => Ok((*total, *retry, *stall)),
        _ => Err("--seconds takes three numbers".into()),
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-image`, and `overlayimageroot` as dracut's netroot starts it.

use lexopt::prelude::{Long, Short, Value, ValueExt};
use overlayroot_core::config::Config;
use overlayroot_core::feature::image_cache::{self, HANDLER, PROGRAM, url_of};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::lex;
use overlayroot_core::value::diagnostics::plain;
use overlayroot_linux::log::{self, kmsg};
use overlayroot_linux::probe::archive;
use overlayroot_linux::source;
use overlayroot_linux::sys::mounts::make_dir;
use overlayroot_linux::sys::newfile;
use overlayroot_populate::image::{Job, run};
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "Usage: overlay-image URL
       overlayimageroot INTERFACE overlayimage:URL DIR
       overlay-image --netroot WORD | --late WORD

Fetch the image of root=live:URL with curl, check it with rd.overlay.image.sha256
or URL.sha256, keep it on rd.overlay.image.cache and let dmsquash-live mount it:
overlayroot-rs(7). dracut's netroot starts it under its second name.

  --netroot WORD   print the value for netroot= in place of WORD
  --late WORD      once, where no network came up and netroot= is WORD: a kept
                   image needs none, if rd.overlay.image.sha256 names it
  --next PROGRAM   mount it with this, not /sbin/dmsquash-live-root
  --seconds N,N    without progress: until the last attempt, until one ends
  -h, --help       print this help
  -V, --version    print the version

Exit: 0 done, 1 failed, 64 wrong arguments.
";

/// A kept image was looked for without a network.
const LATE: &str = "/run/initramfs/overlayroot/image.late";

/// Whether this process was started as one of the two.
pub fn is_meant(name: &str) -> bool {
    [PROGRAM, HANDLER].contains(&name)
}

/// What the arguments ask for.
enum Asked {
    Say(String),
    Fetch(Box<Job>),
}

/// The tool.
pub fn main(name: &str) -> ExitCode {
    let job = match parse(name) {
        Ok(Asked::Fetch(job)) => job,
        Ok(Asked::Say(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{}: {} (see overlay-image --help)", plain(name), plain(&error.to_string()));
            return ExitCode::from(64);
        }
    };
    let initrd = Path::new("/etc/initrd-release").exists();
    log::start(log::Level::INFO, initrd);
    match run(&job) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let text = format!("no image, no root ({fault}); the emergency shell comes after rd.retry= (180 s)");
            tracing::error!("{text}");
            if initrd && std::env::var_os("JOURNAL_STREAM").is_some() {
                // The journal's unit may not write to the console; the kernel does.
                kmsg::write(3, &text);
            }
            ExitCode::FAILURE
        }
    }
}

fn parse(name: &str) -> Result<Asked, lexopt::Error> {
    let inputs = source::read(None);
    let config = Config::read(&inputs);
    let proxy = archive::proxy(&lex(&inputs.cmdline));
    let next = "/sbin/dmsquash-live-root".to_owned();
    let mut job = Job { url: String::new(), proxy, config, next, seconds: (120, 30) };
    let (mut words, mut late) = (Vec::new(), false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("netroot") => {
                return Ok(Asked::Say(overlayroot_core::plan::image_cache::netroot(
                    &job.config,
                    &parser.value()?.string()?,
                )));
            }
            Long("late") => {
                words = vec![parser.value()?.string()?];
                late = true;
            }
            Long("next") => job.next = parser.value()?.string()?,
            Long("seconds") => job.seconds = seconds(&parser.value()?.string()?)?,
            Long("help") | Short('h') => return Ok(Asked::Say(HELP.to_owned())),
            Long("version") | Short('V') => {
                return Ok(Asked::Say(concat!("overlayroot-rs ", env!("CARGO_PKG_VERSION"), "\n").to_owned()));
            }
            Value(word) => words.push(word.string()?),
            other @ (Short(_) | Long(_)) => return Err(other.unexpected()),
        }
    }
    if late && !is_late(&job.config, words.first()) {
        return Ok(Asked::Say(String::new()));
    }
    if late {
        // The network may still come: that is what rd.retry is for.
        job.seconds = (5, 5);
    }
    // dracut: netroot.sh
    let word = if name == HANDLER { words.get(1) } else { words.first() };
    job.url = word.and_then(|word| url_of(word)).ok_or("a URL with http, https, ftp or tftp is needed")?.to_owned();
    Ok(Asked::Fetch(Box::new(job)))
}

/// Whether something can be done without a network, and has not been tried: dracut asks twice a second.
fn is_late(config: &Config, netroot: Option<&String>) -> bool {
    let named = config.image_sha256.value.is_some() && config.image_cache.value.is_some();
    let ours = netroot.is_some_and(|word| image_cache::is_ours(word));
    named && ours && make_dir(paths::PRIVATE).is_ok() && newfile::claim(LATE).is_ok()
}

fn seconds(text: &str) -> Result<(u64, u64), lexopt::Error> {
    let pair = text.split_once(',').and_then(|(retry, stall)| Some((retry.parse().ok()?, stall.parse().ok()?)));
    pair.ok_or_else(|| "--seconds takes two numbers".into())
}

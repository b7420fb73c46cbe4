// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-image`: fetches the image of `root=live:URL` in the place of dracut's livenet, so that it is checked
//! before the kernel parses it, and kept on a disk for the boots to come.
//!
//! Where the disk is at fault the image goes into RAM, as livenet has it; where the image or its server is, there
//! is no root.

mod cache;
mod download;

use crate::fault::{At, Fault, Result, io};
use crate::fetch::Bounds;
use cache::Cache;
use download::{Source, download, whole};
use overlayroot_core::config::Config;
use overlayroot_core::facts::fetched::{Fetched, From, SCHEMA};
use overlayroot_core::feature::image_cache::{name, sum_in, sum_url};
use overlayroot_core::keys::{Fallback, IMAGE_SHA256};
use overlayroot_core::layout::paths;
use overlayroot_core::value::device::Device;
use overlayroot_core::value::redact::told;
use overlayroot_core::value::why::Why;
use overlayroot_linux::probe::image;
use overlayroot_linux::sys::loopdev::{Calls, attach};
use overlayroot_linux::sys::statvfs::room;
use overlayroot_linux::sys::{files, memory, mounts, newfile};
use rustix::fs::{FlockOperation, flock};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Where livenet puts it as well: `/run` may hold a fifth of the RAM only, with systemd.
const RAM: &str = "/tmp/overlay-image";
/// Held while it is fetched: netroot may be started for several interfaces.
const LOCK: &str = "/run/initramfs/overlayroot/image.lock";
/// Most bytes of a file with a sum.
const MOST_SUM: u64 = 64 << 10;
/// No slow line may be slower than this, in seconds.
const DAY: u64 = 86_400;

/// What to do.
pub struct Job {
    /// URL of the image.
    pub url: String,
    /// Proxy.
    pub proxy: Option<String>,
    /// What was asked for.
    pub config: Config,
    /// What mounts it: dmsquash-live's program.
    pub next: String,
    /// Seconds without progress after which no further attempt is made, seconds that end one.
    pub seconds: (u64, u64),
}

/// Has the image mounted. Returns where that is done already, or not at all.
///
/// # Errors
/// Why there is none.
pub fn run(job: &Job) -> Result<()> {
    mounts::make_dir(paths::PRIVATE).map_err(io)?;
    let lock = newfile::lock_file(LOCK).map_err(io)?;
    let free = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
    if !free || Path::new(paths::FETCHED).exists() {
        return Ok(());
    }
    let fetched = fetch(job)?;
    image::tell(&fetched).map_err(io)?;
    tracing::info!("the image: {fetched}");
    // Nothing comes back from here but an error; the lock goes, and what was told stands in its place.
    let error = Command::new(&job.next).arg(&fetched.path).exec();
    Err(Fault { word: "io", text: format!("{} can't be run: {error}", job.next) })
}

fn fetch(job: &Job) -> Result<Fetched> {
    if overlayroot_core::plan::image::asked(&job.config) && job.config.image_sha256.value.is_none() {
        let text = format!("{} is not valid, so no image is accepted", IMAGE_SHA256.name);
        return Err(Fault { word: "sha256", text });
    }
    let source = Source { url: job.url.clone(), told: told(&job.url), proxy: job.proxy.clone(), seconds: job.seconds };
    let sum = wanted(job, &source)?;
    let (sha256, sum_by) = sum.clone().unwrap_or_default();
    let mut fetched = Fetched { schema: SCHEMA, url: source.told.clone(), sha256, sum_by, ..Fetched::default() };
    if let Some(asked) = &job.config.image_cache.value {
        fetched.cache = asked.to_string();
        match kept(job, asked, &source, &mut fetched) {
            Ok(()) => return handed(job, fetched),
            // The server is at fault: elsewhere the image would be no better.
            Err(fault) if matches!(fault.word, "fetch" | "sha256") => return Err(fault),
            Err(fault) if job.config.fallback.value == Fallback::Halt => {
                return Err(Fault {
                    text: format!("no cache on {asked}, and the policy is halt: {}", fault.text),
                    ..fault
                });
            }
            Err(fault) => fetched.why = Some(Why { code: fault.word.to_owned(), text: fault.text }),
        }
    }
    if let Some(complaint) = fetched.complaint() {
        tracing::warn!("{complaint}; it goes into RAM");
    }
    in_ram(&source, &mut fetched)?;
    handed(job, fetched)
}

/// Which sum it must have, and who says so.
fn wanted(job: &Job, source: &Source) -> Result<Option<(String, String)>> {
    if let Some(sum) = &job.config.image_sha256.value {
        return Ok(Some((sum.clone(), "key".to_owned())));
    }
    if job.config.image_cache.value.is_none() {
        return Ok(None);
    }
    let url = sum_url(&job.url);
    let beside = Source { told: told(&url), url, ..source.clone() };
    let file = newfile::nameless("/tmp").at(|| "making a file in /tmp".to_owned())?;
    let bounds = Bounds { total: 60, retry: source.seconds.0, stall: source.seconds.1, bytes: MOST_SUM };
    if download(&beside, &file, bounds, true)?.is_none() {
        return Ok(None);
    }
    let text = std::io::Seek::rewind(&mut &file).and_then(|()| files::bytes(file, MOST_SUM));
    let text = text.at(|| format!("reading {}", beside.told))?;
    let sum = sum_in(&String::from_utf8_lossy(&text), name(&job.url));
    if sum.is_none() {
        tracing::warn!("{} has no sum of the image", beside.told);
    }
    Ok(sum.map(|sum| (sum, "server".to_owned())))
}

/// The image on the disk, from there or from the server.
fn kept(job: &Job, asked: &Device, source: &Source, fetched: &mut Fetched) -> Result<()> {
    if fetched.sha256.is_empty() {
        let beside = told(&sum_url(&job.url));
        let text = format!("neither {} nor {beside} has its sum", IMAGE_SHA256.name);
        return Err(Fault { word: "no-sum", text });
    }
    let cache = Cache::open(asked, &job.config)?;
    let done = cached(&cache, source, fetched);
    match &done {
        Ok(()) => cache.read_only(),
        Err(_) => cache.close(),
    }
    done
}

fn cached(cache: &Cache, source: &Source, fetched: &mut Fetched) -> Result<()> {
    let sum = &fetched.sha256;
    let path = cache.path(sum);
    match cache.find(sum) {
        Some(bytes) => (fetched.from, fetched.bytes) = (From::Cache, bytes),
        None => fetched.bytes = fill(cache, source, sum)?,
    }
    (fetched.path, fetched.device) = (path, Some(cache.device.clone()));
    Ok(())
}

/// Fetches it to the disk; whole and right, or nothing of it stays.
fn fill(cache: &Cache, source: &Source, sum: &str) -> Result<u64> {
    cache.writable()?;
    cache.clear()?;
    tracing::info!("fetching {} to {}", source.told, cache.told);
    let part = cache.part(sum)?;
    let mut bytes = whole(source, &part, cache.room(), Some(sum));
    if bytes.as_ref().is_err_and(|fault| fault.word == "no-room") && cache.make_room()? {
        bytes = whole(source, &part, cache.room(), Some(sum));
    }
    let done = bytes.and_then(|bytes| cache.keep(&part, sum).map(|()| bytes));
    if done.is_err() {
        let _ = cache.clear();
    }
    done
}

/// Fetches it into RAM.
fn in_ram(source: &Source, fetched: &mut Fetched) -> Result<()> {
    fs::create_dir_all(RAM).at(|| format!("making {RAM}"))?;
    let path = format!("{RAM}/image");
    let file = newfile::fresh(&path).map_err(io)?;
    tracing::info!("fetching {} into RAM", source.told);
    let sum = Some(fetched.sha256.as_str()).filter(|sum| !sum.is_empty());
    match whole(source, &file, ram(), sum) {
        Ok(bytes) => {
            (fetched.bytes, fetched.path) = (bytes, path);
            Ok(())
        }
        Err(fault) => {
            let _ = fs::remove_file(&path);
            Err(fault)
        }
    }
}

/// Bytes that may be taken: what is free, and no more than the kernel can give. A ramfs, as the initramfs is with
/// `root=` on the command line, has no size.
fn ram() -> u64 {
    let free = room(RAM).ok().filter(|room| room.bytes > 0).map(|room| room.available);
    let memory = Some(memory::read()).filter(|memory| memory.ram > 0).map(|memory| memory.available);
    free.into_iter().chain(memory).min().unwrap_or(u64::MAX)
}

/// What dmsquash-live takes: a file, or for a medium's image a device (dracut: livenetroot.sh).
fn handed(job: &Job, fetched: Fetched) -> Result<Fetched> {
    if !name(&job.url).ends_with(".iso") {
        return Ok(fetched);
    }
    let path = attach(&fetched.path, true, false, Calls::Newest).map_err(io)?;
    Ok(Fetched { path, ..fetched })
}

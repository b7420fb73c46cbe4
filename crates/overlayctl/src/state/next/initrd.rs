// SPDX-License-Identifier: GPL-2.0-or-later
//! What is in an initramfs: by lsinitrd of dracut, or else lsinitramfs of initramfs-tools. Listing one takes a second
//! or more, so what was found is remembered until the file is another.

use super::listing::{self, Listed};
use overlayroot_core::layout::paths::STATE_DIR;
use overlayroot_core::parse::cmdline::Source;
use overlayroot_host::loader::generator::of_image;
use overlayroot_host::next::Own;
use overlayroot_linux::sys::{files, newfile};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long all programs of one look may take.
const LONGEST: Duration = Duration::from_secs(120);
/// Milliseconds of that which are gone.
static SPENT: AtomicU64 = AtomicU64::new(0);
/// Most bytes that a program may say.
const MOST: u64 = 64 << 20;
/// Fewer files than this are no initramfs, but what a program says of something else.
const FEWEST: usize = 20;

/// A look begins: it has all the time.
pub fn begin() {
    SPENT.store(0, Ordering::Relaxed);
}

/// Who looks into images.
pub trait Lister {
    /// All files.
    ///
    /// # Errors
    /// Why they can't be told.
    fn list(&self, image: &str) -> Result<Vec<Listed>, String>;
    /// The bytes of one of them.
    ///
    /// # Errors
    /// Why they can't be had.
    fn read(&self, image: &str, path: &str) -> Result<Vec<u8>, String>;
    /// Whether what was found may be remembered.
    fn lasting(&self) -> bool {
        false
    }
}

/// The programs of this system.
pub struct Tools;

impl Lister for Tools {
    fn list(&self, image: &str) -> Result<Vec<Listed>, String> {
        let names = match said("lsinitrd", &[image]) {
            Ok(text) => listing::listed(&String::from_utf8_lossy(&text)),
            Err(why) => listing::plain(&String::from_utf8_lossy(&said("lsinitramfs", &[image]).map_err(|_| why)?)),
        };
        match names.len() > FEWEST {
            true => Ok(names),
            false => Err("lsinitrd: it lists no files".to_owned()),
        }
    }

    fn read(&self, image: &str, path: &str) -> Result<Vec<u8>, String> {
        said("lsinitrd", &["-f", path, image])
    }

    fn lasting(&self) -> bool {
        true
    }
}

/// What a program says, where it succeeds in the time that is left.
fn said(program: &str, args: &[&str]) -> Result<Vec<u8>, String> {
    let begun = Instant::now();
    let told = said_within(program, args, LONGEST.saturating_sub(Duration::from_millis(SPENT.load(Ordering::Relaxed))));
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    SPENT.fetch_add(took, Ordering::Relaxed);
    told
}

fn said_within(program: &str, args: &[&str], left: Duration) -> Result<Vec<u8>, String> {
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            format!("{program} is not installed")
        } else {
            format!("{program}: {error}")
        }
    })?;
    let reader = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.map(|pipe| pipe.take(MOST).read_to_end(&mut bytes));
            bytes
        })
    };
    let out = reader(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let err = reader(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| format!("{program}: {error}"))? {
            Some(status) => break status,
            None if begun.elapsed() > left => {
                // with what its shell has started
                crate::state::bounded::end(&mut child);
                return Err(format!("the initramfs images were not listed in {} s", LONGEST.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    match status.success() {
        true if out.len() as u64 >= MOST => Err(format!("the output of {program} is too long")),
        true => Ok(out),
        false => Err(format!("{program}: {}", overlayroot_linux::sys::program::last_line(&err))),
    }
}

/// What matters of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inside {
    /// The module.
    pub module: bool,
    /// Others that make overlays.
    pub others: Vec<String>,
    /// Copies of configuration files, by their path.
    pub conf: Vec<(String, Vec<u8>)>,
    /// Copies of sources of the command line.
    pub cmdline: Vec<(String, Vec<u8>)>,
    /// Who made it, where that is seen.
    pub made_by: String,
}

impl Inside {
    /// As the planner takes it.
    pub fn own(&self) -> Own {
        let sources = |list: &[(String, Vec<u8>)]| {
            list.iter().map(|(name, text)| Source::new(name.clone(), text.clone())).collect::<Vec<_>>()
        };
        Own { conf: sources(&self.conf), cmdline: sources(&self.cmdline) }
    }
}

/// The program that only the module brings.
const PROGRAM: &str = "overlay-assemble";
/// Hooks of others that make overlays, by the end of their name.
const OTHERS: [(&str, &str); 3] = [
    ("-mount-overlayfs.sh", "dracut's module overlayfs"),
    ("scripts/init-bottom/overlayroot", "Ubuntu's overlayroot"),
    ("scripts/overlay", "raspi-config's overlay"),
];

/// Looks into an image.
pub fn look(image: &str, lister: &dyn Lister) -> Result<Inside, String> {
    let stamp = stamp(image).filter(|_| lister.lasting());
    if let Some(known) = stamp.as_ref().and_then(|stamp| remembered(image, stamp)) {
        return Ok(known);
    }
    let all = lister.list(image)?;
    let names: Vec<String> = all.iter().map(|file| file.name.clone()).collect();
    let mut inside =
        Inside { module: names.iter().any(|name| name.rsplit('/').next() == Some(PROGRAM)), ..Inside::default() };
    inside.made_by = of_image(&names).map(|of| of.word().to_owned()).unwrap_or_default();
    for (end, who) in OTHERS {
        if names.iter().any(|name| name.ends_with(end)) {
            inside.others.push(who.to_owned());
        }
    }
    let below =
        |name: &str, at: &str| name.strip_prefix(at).is_some_and(|rest| rest.ends_with(".conf") && !rest.contains('/'));
    let read = |file: &Listed| {
        let Listed { name, at, link, bytes } = file;
        match *bytes {
            // lsinitrd shows nothing of a link
            _ if *link => Err(format!("its copy of /{name} is a link")),
            Some(0) => Ok((format!("/{name}"), Vec::new())),
            _ => match lister.read(image, at)? {
                text if text.is_empty() => Err(format!("its copy of /{name} is empty, or a link")),
                text => Ok((format!("/{name}"), text)),
            },
        }
    };
    let copies = |is: &dyn Fn(&str) -> bool| {
        let mut found: Vec<&Listed> = all.iter().filter(|file| is(&file.name)).collect();
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        found.into_iter().map(read).collect::<Result<Vec<_>, String>>()
    };
    // The order in which dracut and the module read them.
    inside.conf = copies(&|name| name == "etc/overlayroot-rs.conf")?;
    inside.conf.extend(copies(&|name| below(name, "etc/overlayroot-rs.conf.d/"))?);
    inside.cmdline = copies(&|name| below(name, "etc/cmdline.d/"))?;
    inside.cmdline.extend(copies(&|name| name == "etc/cmdline")?);
    if let Some(stamp) = stamp {
        remember(image, stamp, &inside);
    }
    Ok(inside)
}

/// What was found of one state of a file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    image: String,
    stamp: Stamp,
    inside: Inside,
}

/// What changes with every file that is written in its place: device, inode, bytes, and the time of the last change
/// in seconds and nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

fn stamp(image: &str) -> Option<Stamp> {
    let of = fs::metadata(image).ok()?;
    Some((of.dev(), of.ino(), of.len(), of.ctime(), of.ctime_nsec()))
}

/// Copies of configuration files may hold a passphrase: root's alone, as the files are.
fn place() -> String {
    format!("{STATE_DIR}/next-images.json")
}

fn memories() -> Vec<Memory> {
    files::read_small(&place()).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn remembered(image: &str, stamp: &Stamp) -> Option<Inside> {
    memories().into_iter().find(|memory| memory.image == image && memory.stamp == *stamp).map(|memory| memory.inside)
}

/// Where it can't be kept it is found anew.
fn remember(image: &str, stamp: Stamp, inside: &Inside) {
    const MOST: usize = 8;
    if !fs::metadata(STATE_DIR).is_ok_and(|directory| directory.uid() == 0 && directory.is_dir()) {
        return;
    }
    let mut all = memories();
    all.retain(|memory| memory.image != image);
    all.insert(0, Memory { image: image.to_owned(), stamp, inside: inside.clone() });
    all.truncate(MOST);
    if let Ok(text) = serde_json::to_vec(&all) {
        let _ = newfile::write(&place(), &text, newfile::PRIVATE, newfile::Lasting::Run);
    }
}

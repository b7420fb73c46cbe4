// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl image build`: a root as one file, with what a server needs beside it.

pub mod args;
mod layers;
mod menu;
mod source;
mod tool;

use crate::output::exit::{Exit, refused};
use crate::output::progress::Bar;
use anyhow::{Context, Result, bail, ensure};
use args::Build;
use menu::{GRUB, IPXE, PXELINUX, SUM};
use overlayroot_core::value::size::rounded;
use overlayroot_linux::sys::sync::sync_parent;
use overlayroot_linux::sys::watched::{self, Held, Stopped};
use overlayroot_linux::sys::{files as read, newfile};
use serde::Serialize;
use sha2::{Digest, Sha256};
use source::Survey;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use tool::Kind;

/// Builds the image.
pub fn build(asked: &Build) -> Result<Exit> {
    match try_build(asked) {
        Err(error) => match error.downcast_ref() {
            Some(Stopped(signal)) => {
                eprintln!("overlayctl: stopped; all files were removed");
                Ok(Exit::Signal(u8::try_from(*signal).unwrap_or(u8::MAX)))
            }
            None => Err(error),
        },
        Ok(()) => Ok(Exit::Good),
    }
}

/// What is told in the end.
#[derive(Serialize)]
struct Told<'a> {
    image: &'a str,
    source: &'a str,
    kind: &'static str,
    compression: &'static str,
    tool: &'static str,
    version: &'a str,
    /// As it would be without the private view.
    command: Vec<String>,
    files: u64,
    tree_bytes: u64,
    source_date_epoch: Option<u64>,
    notes: Vec<String>,
    #[serde(flatten)]
    made: Option<Made>,
}

#[derive(Serialize)]
struct Made {
    bytes: u64,
    sha256: String,
    arguments: String,
    beside: Vec<String>,
}

fn try_build(asked: &Build) -> Result<()> {
    ensure!(fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0), "only root can read all of a root");
    let (epoch, out) = (epoch()?, target(&asked.out.path)?);
    let files: Vec<String> = ["", SUM, PXELINUX, IPXE, GRUB].iter().map(|suffix| format!("{out}{suffix}")).collect();
    let new: Vec<String> = files.iter().map(|file| format!("{file}.new")).collect();
    files.iter().chain(&new).try_for_each(|path| free(path, asked.force))?;
    let tool = tool::find(asked.out.kind, asked.compression)?;
    let mut source = source::find(&asked.root)?;
    source.left_out.paths.clone_from(&asked.exclude);
    let held = Held::new()?;
    let view = source.view(&held)?;
    let mut notes = source.notes(&view.at(), &tool)?;
    let own: Vec<String> = files.iter().chain(&new).filter_map(|file| source.relative(file)).collect();
    source.left_out.paths.extend(own);
    let mut bar = Bar::new();
    bar.show("looking at the tree", 0, 0);
    let survey = source::survey(&view.at(), &source.left_out, epoch, &held)?;
    let uuid = epoch.is_some().then_some(survey.uuid.as_str());
    let arguments = |root: &str, out: &str| tool.arguments(root, out, &source.left_out, uuid);
    let new_out = format!("{out}.new");
    let mut made = None;
    if !asked.dry_run {
        let unfinished = Unfinished(new);
        let mut command = Command::new(tool.program);
        let image = shared(&new_out)?;
        // By its number: who can write the directory may have put a link in the place of the name.
        let number = read::for_others(&image);
        command.args(arguments(&view.at(), &number)).env("LC_ALL", "C");
        let names = [(view.at(), "ROOT"), (number, out.as_str())];
        notes.extend(pack(&mut command, &view.log(), &names, &survey, tool.kind, &held, &mut bar)?);
        made = Some(finish(asked, &image, &files, &unfinished, &held, &mut bar)?);
    }
    drop(bar);
    let command = std::iter::once(tool.program.to_owned()).chain(arguments(&source.at, &new_out)).collect();
    let told = Told {
        image: &out,
        source: &source.at,
        kind: tool.kind.word(),
        compression: tool.compression.of(tool.kind).0,
        tool: tool.program,
        version: &tool.version,
        command,
        files: survey.files,
        tree_bytes: survey.bytes,
        source_date_epoch: epoch,
        notes,
        made,
    };
    tell(asked, &told)
}

/// Whether that name may be used.
fn free(path: &str, force: bool) -> Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    ensure!(!metadata.is_dir(), "{path} is a directory");
    if force { Ok(()) } else { Err(refused(format!("{path} exists; --force replaces it"))) }
}

/// Seconds since 1970 that nothing in the image may be younger than.
fn epoch() -> Result<Option<u64>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = text.to_str().and_then(|text| text.parse::<u32>().ok());
    let seconds =
        seconds.with_context(|| format!("SOURCE_DATE_EPOCH={text:?} is not a number of seconds below 2^32"))?;
    Ok(Some(seconds.into()))
}

/// Where OUT is, links of its directory followed.
fn target(out: &str) -> Result<String> {
    let path = Path::new(out);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = fs::canonicalize(parent).with_context(|| format!("looking for the directory of {out}"))?;
    let whole = parent.join(path.file_name().context("OUT has no name")?);
    Ok(whole.to_str().with_context(|| format!("{out} is not UTF-8"))?.to_owned())
}

/// What is not finished goes, whatever comes in between.
struct Unfinished(Vec<String>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// An image and what is beside it are for a server to read.
fn shared(path: &str) -> Result<File> {
    let file = newfile::fresh(path)?;
    file.set_permissions(Permissions::from_mode(newfile::ALL_READ)).with_context(|| format!("making {path}"))?;
    Ok(file)
}

/// Runs the tool, and gives back what it had to say, with the second of the names for the first.
fn pack(
    command: &mut Command,
    log: &str,
    names: &[(String, &str)],
    survey: &Survey,
    kind: Kind,
    held: &Held,
    bar: &mut Bar,
) -> Result<Vec<String>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let code = watched::run(command, log, held, &mut |pid| {
        let (done, all) = match kind {
            Kind::Squashfs => (percent(log), 100),
            Kind::Erofs => (read_by(pid), survey.bytes),
        };
        bar.show(&program, done.min(all), all);
    })?;
    let said = String::from_utf8_lossy(&read::tail(log)).into_owned();
    let said = said_in(&names.iter().fold(said, |said, (name, shown)| said.replace(name, shown)));
    if code != 0 {
        let last = said.get(said.len().saturating_sub(3)..).unwrap_or_default().join("; ");
        bail!("{program} ended with {code}: {last}");
    }
    let more = said.len().saturating_sub(5);
    let mut notes: Vec<String> = said.into_iter().take(5).map(|line| format!("{program}: {line}")).collect();
    if more > 0 {
        notes.push(format!("{program}: {more} more such lines"));
    }
    Ok(notes)
}

/// What a tool said, each line once, without its own progress.
fn said_in(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty() && !line.ends_with('%')) {
        if !lines.iter().any(|known| known == line) {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// mksquashfs draws a bar of its own, with the figure at its end.
fn percent(log: &str) -> u64 {
    let mut tail = [0; 256];
    let read = read::open(log).and_then(|file| {
        let from = file.metadata()?.len().saturating_sub(tail.len() as u64);
        file.read_at(&mut tail, from)
    });
    let text = String::from_utf8_lossy(tail.get(..read.unwrap_or(0)).unwrap_or_default()).into_owned();
    let figure = text.rsplit_once('%').and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok());
    figure.unwrap_or(0)
}

/// Bytes that a process has read: mkfs.erofs does not tell how far it is.
fn read_by(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.and_then(|line| line.parse().ok()).unwrap_or(0)
}

/// Makes what is beside the image, and gives everything its name.
fn finish(
    asked: &Build,
    file: &File,
    files: &[String],
    unfinished: &Unfinished,
    held: &Held,
    bar: &mut Bar,
) -> Result<Made> {
    let (out, new) = (files.first().context("no OUT")?, unfinished.0.first().context("no OUT")?);
    let bytes = file.metadata()?.len();
    let sha256 = checksum(file, bytes, held, bar).with_context(|| format!("reading {new}"))?;
    bar.show("writing to the disk", 0, 0);
    file.sync_all().with_context(|| format!("syncing {new}"))?;
    let (base, name) = (asked.url.as_deref(), out.rsplit('/').next().unwrap_or_default());
    for (text, new) in menu::texts(base, name, &sha256).iter().zip(unfinished.0.iter().skip(1)) {
        let mut file = shared(new)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(|| format!("writing {new}"))?;
    }
    held.check()?;
    ensure!(read::is_at(file, new), "{new} was exchanged meanwhile");
    // The image last: where it is, all is.
    for (new, path) in unfinished.0.iter().zip(files).rev() {
        fs::rename(new, path).with_context(|| format!("renaming {new} to {path}"))?;
    }
    sync_parent(out)?;
    let arguments = menu::arguments(base, name, &sha256);
    Ok(Made { bytes, sha256, arguments, beside: files.iter().skip(1).cloned().collect() })
}

fn checksum(mut file: &File, bytes: u64, held: &Held, bar: &mut Bar) -> Result<String> {
    let (mut digest, mut buffer, mut done) = (Sha256::new(), vec![0; 1 << 20], 0);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else { break };
        digest.update(chunk);
        done += chunk.len() as u64;
        bar.show("checksum", done.min(bytes), bytes);
        held.check()?;
    }
    Ok(format!("{:x}", digest.finalize()))
}

fn tell(asked: &Build, told: &Told) -> Result<()> {
    for note in &told.notes {
        eprintln!("overlayctl: {note}");
    }
    let tree = format!("{} in {} files", rounded(told.tree_bytes), told.files);
    match &told.made {
        _ if asked.json => crate::output::out::json(told)?,
        None => {
            let command: Vec<String> = told.command.iter().map(|word| format!("{word:?}")).collect();
            println!("would pack {tree}, without what is mounted below {}:\n{}", told.source, command.join(" "));
        }
        Some(made) => {
            println!("{}: {} of {tree}\nsha256 {}", told.image, rounded(made.bytes), made.sha256);
            println!("beside it: *{SUM}, *{PXELINUX}, *{IPXE}, *{GRUB}");
            if asked.url.is_none() {
                println!("YOUR-SERVER in them stands for the HTTP server: replace it, or build with --url");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

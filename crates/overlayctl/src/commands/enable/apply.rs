// SPDX-License-Identifier: GPL-2.0-or-later
//! Does what was planned, or leaves every file as it was.

use crate::state::loader_files;
use anyhow::{Context, Result, anyhow, bail};
use overlayroot_host::loader::place::{Place, judge};
use overlayroot_host::loader::state::{check, state};
use overlayroot_host::loader::{Kind, Plan, Tree};
use overlayroot_linux::sys::mounts;
use overlayroot_linux::sys::program::last_line;
use overlayroot_linux::tool::bootfile;
use std::path::PathBuf;
use std::process::Command;

/// Suffix of the copy of a file that was there before.
const OLD: &str = ".overlayctl-old";

fn targets(plan: &Plan) -> impl Iterator<Item = &String> {
    plan.edits.iter().map(|edit| &edit.path).chain(&plan.touched)
}

fn places(root: &str, tree: &Tree, plan: &Plan) -> Result<Vec<(PathBuf, Place)>> {
    if !tree.live {
        return Ok(Vec::new());
    }
    let mounts = mounts::read()?;
    let mut found = Vec::new();
    for path in targets(plan) {
        let real = bootfile::real(root, path)?;
        let place = judge(&mounts, real.to_str().context("a path that is not UTF-8")?);
        found.push((real, place));
    }
    Ok(found)
}

/// The files that would be written into the overlay which runs now.
pub fn lost(root: &str, tree: &Tree, plan: &Plan) -> Result<Vec<String>> {
    let places = places(root, tree, plan)?;
    let lost = places.into_iter().filter(|(_, place)| *place == Place::Lost);
    Ok(lost.map(|(path, _)| path.display().to_string()).collect())
}

/// Whether an initramfs made now would go into the overlay.
pub fn boot_is_lost() -> Result<bool> {
    Ok(judge(&mounts::read()?, "/boot/initrd.img") == Place::Lost)
}

/// Mounts that are writable for as long as this lives.
struct Writable(Vec<String>);

impl Writable {
    fn make(root: &str, tree: &Tree, plan: &Plan) -> Result<Self> {
        let mut made = Self(Vec::new());
        for (path, place) in places(root, tree, plan)? {
            let Place::ReadOnly(at) = place else { continue };
            if at == "/" {
                bail!("{} is on the root, which is read-only: mount -o remount,rw / first", path.display());
            }
            if !made.0.contains(&at) {
                mounts::remount_super(&at, false)?;
                eprintln!("overlayctl: {at} is read-only; remounted writable for this change");
                made.0.push(at);
            }
        }
        Ok(made)
    }
}

impl Drop for Writable {
    fn drop(&mut self) {
        for at in self.0.iter().rev() {
            if let Err(error) = mounts::remount_super(at, true) {
                eprintln!("overlayctl: {at} stays writable: {error:#}");
            }
        }
    }
}

/// A file before anything was done.
struct Saved {
    path: PathBuf,
    text: Option<Vec<u8>>,
    copy: Option<PathBuf>,
}

impl Saved {
    fn restore(&self) -> Result<()> {
        match &self.text {
            Some(text) if self.now().as_ref() != Some(text) => bootfile::replace(&self.path, text),
            Some(_) => Ok(()),
            None => bootfile::remove(&self.path),
        }
    }

    fn now(&self) -> Option<Vec<u8>> {
        bootfile::read("/", self.path.to_str()?).ok().flatten()
    }
}

/// Copies of all files that will change lie beside them until the end, for the case that nobody is left to put them back.
fn save(root: &str, tree: &Tree, plan: &Plan) -> Result<Vec<Saved>> {
    let mut saved: Vec<Saved> = Vec::new();
    for path in targets(plan) {
        let real = bootfile::real(root, path)?;
        if saved.iter().any(|seen| seen.path == real) {
            continue;
        }
        let text = tree.files.get(path).cloned();
        let copy = text.as_ref().map(|_| PathBuf::from(format!("{}{OLD}", real.display())));
        if let (Some(text), Some(copy)) = (&text, &copy) {
            bootfile::replace(copy, text)?;
        }
        saved.push(Saved { path: real, text, copy });
    }
    Ok(saved)
}

/// Writes, runs, and looks whether it came out as planned.
pub fn apply(root: &str, tree: &Tree, kind: Kind, plan: &Plan) -> Result<()> {
    let writable = Writable::make(root, tree, plan)?;
    let saved = save(root, tree, plan)?;
    if let Err(error) = attempt(root, kind, plan) {
        let failed: Vec<String> =
            saved.iter().filter_map(|file| Some((file, file.restore().err()?))).map(told).collect();
        let error = match failed.is_empty() {
            true => {
                saved.iter().for_each(discard);
                error.context("failed, all changes rolled back")
            }
            false => error
                .context(format!("failed, and could not be rolled back (copies end in {OLD}): {}", failed.join("; "))),
        };
        return Err(error);
    }
    let former = kind.loader().keeps_former();
    saved.iter().filter(|file| !former.is_some_and(|name| file.path.ends_with(name))).for_each(discard);
    drop(writable);
    Ok(())
}

fn told((file, error): (&Saved, anyhow::Error)) -> String {
    format!("{}: {error:#}", file.path.display())
}

fn discard(saved: &Saved) {
    if let Some(Err(error)) = saved.copy.as_deref().map(bootfile::remove) {
        eprintln!("overlayctl: {error:#}");
    }
}

fn attempt(root: &str, kind: Kind, plan: &Plan) -> Result<()> {
    for edit in &plan.edits {
        let path = bootfile::real(root, &edit.path)?;
        match &edit.after {
            Some(after) => bootfile::replace(&path, after)?,
            None => bootfile::remove(&path)?,
        }
    }
    for command in &plan.commands {
        call(root, command)?;
    }
    let now = state(&loader_files::tree(root)?, kind);
    // Where the boot loader's own menu is made by somebody else, it is judged only after that was done.
    let made = kind.loader().remakes().is_none() || !plan.commands.is_empty();
    match made {
        true => check(&now, &plan.want).map_err(|why| anyhow!("afterwards {why}")),
        false => Ok(()),
    }
}

fn call(root: &str, command: &[String]) -> Result<()> {
    let (name, args) = command.split_first().context("no program")?;
    let path = loader_files::program(root, name).with_context(|| format!("{name} is not installed"))?;
    let output = Command::new(&path).args(args).output().with_context(|| format!("running {path}"))?;
    if !output.status.success() {
        let said = [last_line(&output.stderr), last_line(&output.stdout)];
        let said = said.iter().find(|line| !line.is_empty()).cloned().unwrap_or_default();
        bail!("{name}: {}: {said}", output.status);
    }
    Ok(())
}

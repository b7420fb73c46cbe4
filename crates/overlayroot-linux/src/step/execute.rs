// SPDX-License-Identifier: GPL-2.0-or-later
//! Performs the steps of a plan, each timed and recorded; takes all of them back where one fails.

use crate::log::kmsg::Kmsg;
use crate::step::report::{Report, SCRATCH};
use crate::step::small_files::{clear, link, link_run, write_run};
use crate::step::undo::{self, Undo};
use crate::step::{
    commit, hostname, limit, loopfile, made, partition, path, populate, preflight, reset, stale, store, verify,
};
use crate::sys::files::remove;
use crate::sys::loopdev::{self, Calls};
use crate::sys::{btrfs, filesystem, fsck, growfs, mounts, top_level};
use anyhow::{Context, Result};
use overlayroot_core::facts::live_image::Live;
use overlayroot_core::feature::populated::State;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo;
use overlayroot_core::record::{Reason, StepRecord, StepResult};
use overlayroot_core::step::Step;
use overlayroot_core::step::overlay::Overlay;
use overlayroot_core::value::file_system::MadeFs;
use rustix::mount::MountFlags;
use std::fs;
use std::time::Instant;

/// Runs the steps; what optional steps failed at comes back as reasons.
///
/// # Errors
/// The reason why a step failed, after everything before it was undone.
pub fn run(steps: &[Step], report: &mut Report) -> Result<Vec<Reason>, Reason> {
    let mut undos = Vec::new();
    let mut soft = Vec::new();
    let mut kmsg = Kmsg::open();
    let mut reversible = Vec::new();
    for step in steps {
        let started = Instant::now();
        let before = undos.len();
        let result = perform(step, &mut undos, report);
        let us = micros(started);
        crate::log::debug!("{step}");
        let went = if result.is_ok() { StepResult::Done } else { StepResult::Failed };
        let log = &mut report.steps;
        log.push(StepRecord { step: step.name().to_owned(), text: format!("{step:#}"), result: went, us });
        if undos.len() > before {
            reversible.push(log.len() - 1);
        }
        let Err(error) = result else {
            continue;
        };
        let reason = Reason { code: step.name().to_owned(), text: format!("{error:#}"), kernel: kmsg.drain() };
        if step.optional() {
            if let Step::Path(step) = step {
                report.failed_paths.extend(step.path().map(|path| (path.to_owned(), reason.text.clone())));
            }
            soft.push(reason);
            continue;
        }
        report.notes.extend(undo::all(undos));
        report.hostname = None;
        report.failed_paths.clear();
        // What is in that upper is not what runs.
        report.populate = report.populate.take().filter(|found| found.state == State::Failed);
        for index in reversible {
            // A step that failed half way stays "failed".
            if let Some(entry) = report.steps.get_mut(index).filter(|entry| entry.result == StepResult::Done) {
                entry.result = StepResult::Undone;
            }
        }
        return Err(reason);
    }
    report.made = made::settle(steps, &report.failed_paths);
    Ok(soft)
}

/// Runs the steps, does something, and takes them back whatever came of it.
///
/// # Errors
/// That of a step, or of what was to be done.
pub fn within<T>(steps: &[Step], inside: impl FnOnce() -> Result<T>) -> Result<T> {
    let (mut undos, mut report) = (Vec::new(), Report::default());
    let done = steps.iter().try_for_each(|step| perform(step, &mut undos, &mut report));
    let done = done.and_then(|()| inside());
    match undo::all(undos).as_slice() {
        [] => done,
        [first, ..] => done.and_then(|_| Err(anyhow::anyhow!("{first}"))),
    }
}

/// Microseconds since `started`.
pub fn micros(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// One arm a step; what needs more than a line is a function of its own.
fn perform(step: &Step, undos: &mut Vec<Undo>, report: &mut Report) -> Result<()> {
    match step {
        Step::StandDown { hooks } => hooks.iter().try_for_each(|path| remove(path)),
        Step::Uncover { at, live } => uncover(at, live, undos),
        Step::Clear { path } => clear(path),
        Step::MountTmpfs { at, source, options } => mount_tmpfs(source, at, options, undos),
        Step::Look { device, fstype, store, base, need } => preflight::look(&real(device), fstype, base, store, *need),
        Step::Check { device, .. } => check(device),
        Step::MountDevice { device, fstype, at, read_only } => mount_device(device, fstype, at, *read_only, undos),
        Step::MountTop { device, at, read_only } => mount_top(device, at, *read_only, undos),
        Step::MakeSubvolume { path } => btrfs::make(path),
        Step::Writable { at } => writable(at, undos),
        Step::LookInside { store, base, need } => preflight::inside(base, store, *need),
        Step::MakeLoopFile { file, bytes, fs } => make_loop_file(file, *bytes, *fs),
        Step::GrowLoopFile { file, device, bytes, keep } => {
            loopfile::grow(file, &real(device), *bytes, *keep, &mut loopfile::untold)
        }
        Step::Attach { file, link, read_only, discard } => attach(file, link, *read_only, *discard, undos),
        Step::Part(step) => partition::perform(step, undos),
        Step::GrowFs { at, fstype } => growfs::grow(at, fstype, device_bytes(at)?),
        Step::Hide { upper, like, path } => store::hide(upper, like, path),
        Step::Bind { from, to } | Step::BindLower { from, to } => bind(from, to, undos),
        Step::Reset { store } => report.keep(reset::every_boot(store)?),
        Step::ResetOnce { store, readonly, resets } => report.keep(reset::once(store, *readonly, *resets)?),
        Step::Stale(asked) => stale::step(asked, report),
        Step::Commit(asked) => commit::step(asked, report),
        Step::MakeUpper { store, like } => store::make(store, like),
        Step::Quota(limit) => limit::apply(limit),
        Step::Remember { path, fingerprint } => store::remember(path, fingerprint),
        Step::Link { at, to } => link(at, to).map(|()| undos.push(Undo::Remove(at.clone()))),
        // dmsquash-live may have mounted the lower, and setuid counts there.
        Step::LowerReadOnly { at } | Step::Close { at } => mounts::close(at),
        Step::LowerFsReadOnly { at } => read_only_super(at, undos),
        Step::Park { root, mounts, at } => park(root, mounts, at, undos),
        Step::UnmountRoot { at, lower } => unmount_root(at, lower, undos),
        Step::MountOverlay(overlay) => mount_overlay(overlay, undos),
        Step::Verify(overlay) => verify::verify(overlay),
        Step::Unpark { root, mounts, at } => unpark(root, mounts, at, undos),
        Step::Populate(asked) => populate::step(asked, report),
        Step::Hostname { name, upper, lowers } => set_hostname(name, upper, lowers, report),
        Step::Path(step) => path::perform(step, undos, report),
        Step::RootReadOnly { at } => {
            read_only_super(at, undos)?;
            mounts::remount_bind(at, true)
        }
        Step::WriteRun { path, text, .. } => write_run(path, text, undos),
        Step::LinkRun { path, to, .. } => link_run(path, to, undos),
    }
}

fn mount_tmpfs(source: &str, at: &str, options: &str, undos: &mut Vec<Undo>) -> Result<()> {
    mounts::mount_fs(source, at, "tmpfs", MountFlags::empty(), options)?;
    undos.push(Undo::Unmount(at.to_owned()));
    Ok(())
}

fn check(device: &str) -> Result<()> {
    mounts::make_dir(SCRATCH)?;
    fsck::check(&real(device), SCRATCH)
}

fn set_hostname(name: &str, upper: &str, lowers: &[String], report: &mut Report) -> Result<()> {
    hostname::set(name, upper, lowers)?;
    report.hostname = Some(name.to_owned());
    Ok(())
}

fn mount_device(device: &str, fstype: &str, at: &str, read_only: bool, undos: &mut Vec<Undo>) -> Result<()> {
    let mut flags = MountFlags::empty();
    flags.set(MountFlags::RDONLY, read_only);
    mounts::mount_fs(&real(device), at, fstype, flags, "")?;
    undos.push(Undo::Unmount(at.to_owned()));
    if device == paths::LOOP_LINK { loopdev::give_back_after_use(&real(device)) } else { Ok(()) }
}

fn mount_top(device: &str, at: &str, read_only: bool, undos: &mut Vec<Undo>) -> Result<()> {
    top_level::mount_top(device, at, read_only)?;
    undos.push(Undo::Unmount(at.to_owned()));
    Ok(())
}

fn make_loop_file(file: &str, bytes: u64, fs: MadeFs) -> Result<()> {
    crate::log::info!("making {file}");
    loopfile::make(file, bytes, fs, &format!("{SCRATCH}/mkfs.log"), &mut loopfile::untold)
}

fn attach(file: &str, at: &str, read_only: bool, discard: bool, undos: &mut Vec<Undo>) -> Result<()> {
    let node = loopdev::attach(file, read_only, discard, Calls::Newest)?;
    if let Err(error) = link(at, &node) {
        let _ = loopdev::detach(&node);
        return Err(error);
    }
    undos.push(Undo::Detach { link: at.to_owned(), file: file.to_owned() });
    Ok(())
}

/// The image takes the place of dmsquash-live's overlay, whose directories go where they are empty.
fn uncover(at: &str, live: &Live, undos: &mut Vec<Undo>) -> Result<()> {
    mounts::unmount(at)?;
    undos.push(Undo::Cover { at: at.to_owned(), live: live.clone() });
    mounts::bind_as_is(&live.lower, at)?;
    undos.push(Undo::Unmount(at.to_owned()));
    // An attempt that was taken back left the image as it has it for the lower.
    mounts::join_root(at)?;
    // What the kernel makes in a work directory (fs/overlayfs/super.c, ovl_workdir_create).
    let _ = fs::remove_dir(format!("{}/work", live.work));
    Ok(())
}

fn writable(at: &str, undos: &mut Vec<Undo>) -> Result<()> {
    let mounts = mounts::read()?;
    let was = mountinfo::at(&mounts, at).with_context(|| format!("{at} is not a mount point"))?.super_read_only();
    mounts::remount_super(at, false)?;
    if was {
        undos.push(Undo::SuperReadOnly(at.to_owned()));
    }
    mounts::remount_bind(at, false)
}

/// Bytes of the block device mounted at `at`.
fn device_bytes(at: &str) -> Result<u64> {
    let mounts = mounts::read()?;
    let mount = mountinfo::at(&mounts, at).with_context(|| format!("{at} is not a mount point"))?;
    let bytes = filesystem::device_bytes(mount);
    anyhow::ensure!(bytes > 0, "the size of {} can't be read", mount.source);
    Ok(bytes)
}

/// The device behind our own link; mountinfo should name the device.
fn real(device: &str) -> String {
    match fs::canonicalize(device) {
        Ok(path) if device.starts_with(paths::PRIVATE) => path.to_string_lossy().into_owned(),
        _ => device.to_owned(),
    }
}

fn bind(from: &str, to: &str, undos: &mut Vec<Undo>) -> Result<()> {
    mounts::bind(from, to)?;
    undos.push(Undo::Unmount(to.to_owned()));
    Ok(())
}

fn read_only_super(at: &str, undos: &mut Vec<Undo>) -> Result<()> {
    mounts::remount_super(at, true)?;
    undos.push(Undo::SuperWritable(at.to_owned()));
    Ok(())
}

fn unmount_root(at: &str, lower: &str, undos: &mut Vec<Undo>) -> Result<()> {
    let flags = mounts::flags(at)?;
    mounts::unmount(at)?;
    undos.push(Undo::RootBack { lower: lower.to_owned(), at: at.to_owned(), flags });
    Ok(())
}

fn mount_overlay(overlay: &Overlay, undos: &mut Vec<Undo>) -> Result<()> {
    mounts::mount_overlay(&overlay.source, &overlay.at, &overlay.data())?;
    undos.push(Undo::Unmount(overlay.at.clone()));
    Ok(())
}

fn unpark(root: &str, parked: &[String], at: &str, undos: &mut Vec<Undo>) -> Result<()> {
    parked.iter().enumerate().try_for_each(|(number, mount)| {
        let (from, to) = (format!("{at}/{number}"), format!("{root}{mount}"));
        mounts::bind_as_is(&from, &to)?;
        undos.push(Undo::Unmount(to));
        mounts::unmount(&from)
    })
}

/// Innermost mounts go first, and come back last.
fn park(root: &str, parked: &[String], at: &str, undos: &mut Vec<Undo>) -> Result<()> {
    for (number, mount) in parked.iter().enumerate().rev() {
        let (from, to) = (format!("{root}{mount}"), format!("{at}/{number}"));
        mounts::bind_as_is(&from, &to)?;
        undos.push(Undo::Unmount(to.clone()));
        mounts::unmount(&from)?;
        undos.pop();
        undos.push(Undo::Unpark { from: to, to: from });
    }
    Ok(())
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! Making, copying, renaming and discarding uppers that are not in use.

use crate::commands::uppers;
use crate::output::exit::{Exit, refused};
use crate::output::format::now;
use crate::state::kept::{self, Found, Pending, Upper};
use crate::state::{request, tries};
use anyhow::{Context, Result, ensure};
use overlayroot_core::feature::tries::Set;
use overlayroot_core::layout::pending::Marker;
use overlayroot_core::layout::{Store, parse_name, paths};
use overlayroot_core::record::Record;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_linux::step::store::unused;
use overlayroot_linux::step::{reset, store};
use overlayroot_linux::sys::attributes::copy_times;
use overlayroot_linux::sys::newfile::{self, write_durable};
use overlayroot_linux::sys::sync::{sync, sync_file_system, sync_parent};
use overlayroot_linux::sys::{btrfs, files};
use std::fs::{self, File, Metadata};
use std::process::Command;
use std::time::UNIX_EPOCH;

/// The upper that stays, and the lock of who changes others.
///
/// # Errors
/// Why there is none, or who else does.
fn here() -> Result<(Box<Record>, Store, File)> {
    let (record, store) = match kept::find()? {
        Found::Upper(record, store) => (record, store),
        Found::None(why) => return Err(refused(why)),
    };
    let lock = newfile::lock(paths::UPPERS_LOCK)?;
    let lock = lock.ok_or_else(|| refused("another overlayctl uppers is at work"))?;
    Ok((record, store, lock))
}

/// Makes an empty upper.
pub fn create(name: &str) -> Result<Exit> {
    let (record, own, _lock) = here()?;
    let new = free(&own, name)?;
    let lower = kept::lower(&record)?;
    let fingerprint = record.fingerprint.as_ref().context("this boot's record has no fingerprint of the lower")?;
    store::remember_anew(&new.fingerprint, fingerprint)?;
    store::make(&new, lower)?;
    sync(&new.upper)?;
    sync_parent(new.whole())?;
    println!("{name} was created; {}", used_by(name));
    Ok(Exit::Good)
}

/// Copies an upper: by a snapshot, else by reference where the file system can.
pub fn clone(of: &str, name: &str) -> Result<Exit> {
    let (_, own, _lock) = here()?;
    let source = found(&own, of)?;
    let new = free(&own, name)?;
    let (whole, fingerprint) = source.whole();
    let text = files::read_small(&fingerprint).with_context(|| format!("reading {fingerprint}"))?;
    let text = String::from_utf8(text).with_context(|| format!("reading {fingerprint}"))?;
    let text = store::with(&text, None).with_context(|| format!("{fingerprint} is not valid"))?;
    let times = fs::symlink_metadata(&fingerprint).with_context(|| format!("looking at {fingerprint}"))?;
    if new.subvolume.is_some() {
        write_as_old(&new.fingerprint, &text, &times)?;
        btrfs::snapshot(&whole, new.whole())?;
    } else if in_use(&own, &source) {
        return Err(refused(format!(
            "{} is in use, and a copy made meanwhile would be no whole one: overlayctl reset --keep keeps it at the next \
             boot, and that one can be copied (on subvol: also one in use)",
            escape(of)
        )));
    } else {
        let copied = copy(&own, &whole, &new)?;
        write_as_old(&new.fingerprint, &text, &times)?;
        fs::rename(&copied, new.whole()).with_context(|| format!("moving {copied} to {}", new.whole()))?;
        sync_parent(new.whole())?;
    }
    println!("{name} is a copy of {}; {}", escape(of), used_by(name));
    Ok(Exit::Good)
}

fn used_by(name: &str) -> String {
    format!("overlayctl uppers use {name} uses it from the next boot on, rd.overlay.name={name} in one boot entry")
}

/// Copies to a place where nobody sweeps, as in the trash; what an earlier copy that was interrupted has left goes there.
fn copy(own: &Store, whole: &str, new: &Store) -> Result<String> {
    let to = own.copy();
    aside(own, &to, "copy")?;
    let keep = "--preserve=mode,ownership,timestamps,links,xattr";
    let words = ["-dR", keep, "--reflink=auto", "--sparse=auto", "-T", "--", whole, &to];
    let status = Command::new("cp").args(words).status().context("running cp")?;
    ensure!(status.success(), "cp {whole} {to}: {status}; {} was not created", new.name());
    sync_file_system(&to)?;
    Ok(to)
}

/// The fingerprint tells by its time since when files of the lower may be hidden.
fn write_as_old(path: &str, text: &str, times: &Metadata) -> Result<()> {
    write_durable(path, text)?;
    copy_times(times, path)
}

/// Moves something into the trash, if it is there.
fn aside(own: &Store, path: &str, name: &str) -> Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    fs::create_dir_all(&own.trash).with_context(|| format!("making {}", own.trash))?;
    fs::rename(path, unused(&own.trash, name)).with_context(|| format!("moving {path} into the trash"))
}

/// Gives an upper another name.
pub fn rename(old: &str, name: &str) -> Result<Exit> {
    let (_, own, _lock) = here()?;
    let source = found(&own, old)?;
    if in_use(&own, &source) {
        return Err(refused(format!("{} is in use", escape(old))));
    }
    if let Some(why) = asked_for(&own, &source)? {
        return Err(refused(why));
    }
    let new = free(&own, name)?;
    let (whole, fingerprint) = source.whole();
    // The fingerprint goes first: without it the upper would be of no lower. Cut here, both names can be tried again.
    let text = files::read_small(&fingerprint).with_context(|| format!("reading {fingerprint}"))?;
    let text = String::from_utf8(text).with_context(|| format!("reading {fingerprint}"))?;
    let times = fs::symlink_metadata(&fingerprint).with_context(|| format!("looking at {fingerprint}"))?;
    write_as_old(&new.fingerprint, &text, &times)?;
    if new.subvolume.is_some() {
        // Before it has the name: one that is read-only can't be used.
        btrfs::set_read_only(&whole, false)?;
    }
    fs::rename(&whole, new.whole()).with_context(|| format!("moving {whole} to {}", new.whole()))?;
    sync_parent(new.whole())?;
    if new.subvolume.is_none() && source.number.is_none() {
        aside(&own, &source.store.work, "work")?;
    }
    files::remove(&fingerprint)?;
    sync_parent(&fingerprint)?;
    println!("{} is {name} now", escape(old));
    Ok(Exit::Good)
}

/// Discards one at once.
pub fn remove(name: &str) -> Result<Exit> {
    let (_, own, _lock) = here()?;
    let upper = found(&own, name)?;
    if in_use(&own, &upper) {
        return Err(refused(format!("{name} is in use; overlayctl reset discards it at the next boot")));
    }
    if let Some(why) = asked_for(&own, &upper)? {
        return Err(refused(why));
    }
    discard(&upper)?;
    println!(
        "{name} was discarded, its changes are lost; the next boot frees its space, or overlayctl trash empty does now"
    );
    Ok(Exit::Good)
}

fn discard(upper: &Upper) -> Result<()> {
    if let Some(number) = upper.number {
        return reset::discard(&upper.store, number);
    }
    files::remove(&upper.store.marker)?;
    reset::every_boot(&upper.store).map(drop)
}

/// Discards kept uppers, but the newest, or those that are not so old.
pub fn prune(keep: usize, days: Option<u64>, dry_run: bool) -> Result<Exit> {
    let (_, own, _lock) = here()?;
    let mut kept: Vec<(u64, Upper)> = Vec::new();
    for upper in kept::all(&own)?.into_iter().filter(|upper| upper.number.is_some()) {
        kept.push((begun(&upper)?, upper));
    }
    kept.sort_by_key(|(begun, upper)| (std::cmp::Reverse(*begun), upper.name()));
    let oldest = days.map(|days| now().saturating_sub(days.saturating_mul(86_400)));
    let go = kept.iter().skip(keep).filter(|(begun, _)| oldest.is_none_or(|oldest| *begun < oldest));
    let mut count = 0;
    for (_, upper) in go {
        let name = upper.name();
        match asked_for(&own, upper)? {
            Some(why) => println!("{name} stays: {why}"),
            None if dry_run => println!("{name} would be discarded; its changes would be lost"),
            None => {
                discard(upper)?;
                println!("{name} was discarded; its changes are lost");
            }
        }
        count += 1;
    }
    if count == 0 {
        println!("nothing to discard: {} kept", kept.len());
    }
    Ok(Exit::Good)
}

/// Seconds since 1970 at which it was created.
pub fn begun(upper: &Upper) -> Result<u64> {
    let (whole, fingerprint) = upper.whole();
    let metadata = fs::symlink_metadata(fingerprint).or_else(|_| fs::symlink_metadata(whole));
    let modified = metadata.and_then(|metadata| metadata.modified());
    let modified = modified.with_context(|| format!("looking at {}", upper.name()))?;
    Ok(modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn found(own: &Store, name: &str) -> Result<Upper> {
    let upper = kept::named(own, name)?;
    upper.ok_or_else(|| refused(format!("{} is not an upper here, see overlayctl uppers", escape(name))))
}

fn in_use(own: &Store, upper: &Upper) -> bool {
    upper.number.is_none() && upper.store == *own
}

/// The places of a name that nothing has.
fn free(own: &Store, name: &str) -> Result<Store> {
    if let Err(problem) = parse_name(name) {
        return Err(refused(format!("{}: {problem}", escape(name))));
    }
    let new = own.beside(name).ok_or_else(|| refused("uppers of overlayroot= have one name".to_owned()))?;
    let is = |path: &str| fs::symlink_metadata(path).is_ok();
    // A request that is left would be done with it: it could be discarded, or moved into the lower.
    let request = new.commit();
    if let Some(path) = [new.whole(), &new.marker, &request].into_iter().find(|path| is(path)) {
        return Err(refused(format!("{name} is taken: {path} exists")));
    }
    // What is left of a work directory is nobody's.
    aside(own, &new.work, "work")?;
    Ok(new)
}

/// Why it can't go: what the next boot is asked for needs it.
fn asked_for(own: &Store, upper: &Upper) -> Result<Option<String>> {
    let name = upper.name();
    let (base, pending) = (upper.store.name(), kept::pending(&upper.store)?);
    if pending == Pending::Asked(Marker::Restore(name.clone())) {
        let text = match upper.store == *own {
            true => format!("{name} will be restored at the next boot; overlayctl reset --cancel cancels that"),
            false => format!("{name} will be restored at the next boot with {base}"),
        };
        return Ok(Some(text));
    }
    if upper.number.is_none() && pending != Pending::Nothing {
        let words = uppers::words(pending.marker());
        return Ok(Some(format!("the next boot with {base} is asked for something ({words})")));
    }
    let wanted = |set: &Set| upper.number.is_none() && set.upper == name;
    if tries::read(own)?.is_some_and(|boots| wanted(&boots.want) || boots.good.as_ref().is_some_and(wanted)) {
        return Ok(Some(format!("{name} is for the next boots: see overlayctl uppers use")));
    }
    let asked = if upper.number.is_none() { request::pending(&upper.store)? } else { None };
    Ok(asked.map(|asked| format!("the next boot with {name} is asked for something ({asked})")))
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl enable` and `disable`: our kernel arguments into the boot loader's files and out of them, by whatever
//! the host has, and dracut's drop-in with them.

mod apply;
mod checked;
pub(super) mod initramfs;
mod told;

use crate::commands::shell as lower;
use crate::output::exit::{Exit, refuse};
use crate::state::loader_files;
use crate::state::next::initrd::{Lister, Tools};
use anyhow::{Result, ensure};
use overlayroot_core::parse::cmdline::Source;
use overlayroot_host::loader::ask::{self, Given};
use overlayroot_host::loader::{Edit, Kind, Plan, Tree, module, own, plan};

/// What both verbs take.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Use this boot loader instead of the one found
    #[arg(long, value_name = "KIND", value_parser = kind)]
    boot_loader: Option<Kind>,
    /// Edit the system in this directory; none of its programs is run
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    root: String,
    /// Also rebuild the initramfs of every kernel
    #[arg(long)]
    rebuild: bool,
    /// Print what would change and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `overlayctl enable` takes.
#[derive(Debug, clap::Args)]
pub struct Enable {
    /// Kernel arguments, as on the command line [default: rd.overlay=tmpfs]
    #[arg(value_name = "ARGUMENT")]
    arguments: Vec<String>,
    /// Enable even if overlayctl doctor finds problems
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

/// What `overlayctl disable` takes.
#[derive(Debug, clap::Args)]
pub struct Disable {
    #[command(flatten)]
    common: Common,
}

fn kind(word: &str) -> Result<Kind, String> {
    let found = Kind::ALL.into_iter().find(|kind| kind.word() == word);
    let names = Kind::ALL.map(Kind::word);
    found.ok_or_else(|| format!("one of {}", names.join(", ")))
}

/// Everything decided, before anything is done.
struct Job<'a> {
    common: &'a Common,
    tree: Tree,
    kind: Kind,
    reason: String,
    plan: Plan,
    given: &'a [Given],
    lister: &'a dyn Lister,
}

impl Job<'_> {
    fn enables(&self) -> bool {
        !self.given.is_empty()
    }
}

/// Puts the arguments there.
pub fn enable(asked: &Enable) -> Result<Exit> {
    enable_with(asked, &Tools)
}

fn enable_with(asked: &Enable, lister: &dyn Lister) -> Result<Exit> {
    let default = [ask::DEFAULT.to_owned()];
    let words = if asked.arguments.is_empty() { &default[..] } else { &asked.arguments };
    let tree = loader_files::tree(&asked.common.root)?;
    match ask::parse(words, &conf(&tree)) {
        Ok(given) => run(&asked.common, tree, &given, asked.force, lister),
        Err(wrong) => {
            wrong.iter().for_each(|why| eprintln!("overlayctl: {why}"));
            eprintln!("overlayctl: nothing was changed");
            Ok(Exit::No)
        }
    }
}

/// Takes them away.
pub fn disable(asked: &Disable) -> Result<Exit> {
    disable_with(asked, &Tools)
}

fn disable_with(asked: &Disable, lister: &dyn Lister) -> Result<Exit> {
    // The files as the next boot finds them: in an overlay those of the lower.
    let (tree, unread) = crate::state::next::tree(&asked.common.root);
    ensure!(unread.is_empty(), "{}", unread.join("; "));
    run(&asked.common, tree, &[], false, lister)
}

/// The configuration files of that system, in their order.
fn conf(tree: &Tree) -> Vec<Source> {
    let of = |path: &str| path == "etc/overlayroot-rs.conf" || path.starts_with("etc/overlayroot-rs.conf.d/");
    let files = tree.files.iter().filter(|(path, _)| of(path));
    files.map(|(path, text)| Source::new(format!("/{path}"), text.clone())).collect()
}

/// The kind that edits this tree, and by what it was chosen; or why there is none.
fn boot_loader(common: &Common, tree: &Tree) -> Result<(Kind, String), String> {
    let Some(kind) = common.boot_loader else { return tree.detect() };
    match kind.loader().for_other_trees().filter(|_| !tree.live) {
        Some(other) => Err(format!("{} can't edit another tree; use --boot-loader {}", kind.word(), other.word())),
        None => Ok((kind, "asked for".to_owned())),
    }
}

fn run(common: &Common, tree: Tree, given: &[Given], force: bool, lister: &dyn Lister) -> Result<Exit> {
    ensure!(!common.rebuild || tree.live, "--rebuild works on the running system only; run dracut in {}", common.root);
    let enable = !given.is_empty();
    let (kind, reason) = match boot_loader(common, &tree) {
        Ok(found) => found,
        Err(why) => return refuse(&why),
    };
    let mut plan = match plan(&tree, kind, given) {
        Ok(plan) => plan,
        Err(why) => return refuse(&why),
    };
    if !enable {
        plan.edits.extend(own::silence(&tree));
    }
    if let Some(path) = apply::lost(&common.root, &tree, &plan)?.first() {
        match enable {
            true => return refuse(&lies_in_the_overlay(path)),
            false if !common.dry_run => return below(common),
            false => plan.notes.push(format!("{path} and others are in the overlay; the lower is edited instead")),
        }
    }
    if common.rebuild && apply::boot_is_lost()? {
        return refuse(
            "--rebuild: /boot is in the overlay; the boot loader would not see the initramfs. Nothing was changed: boot \
             once with rd.overlay=0, or use overlayctl shell",
        );
    }
    let (edit, note) = module(&tree, enable);
    plan.notes.extend(note);
    plan.edits.extend(kept(&common.root, &tree, edit, &mut plan.notes)?);
    initramfs::advise(&common.root, &tree, kind, (enable, common.rebuild), &mut plan);
    let job = Job { common, tree, kind, reason, plan, given, lister };
    if enable && !force && !checked::may(&job)? {
        if common.dry_run && !common.json {
            print!("{}", told::text(&job));
        }
        return Ok(Exit::No);
    }
    finish(&job)
}

fn lies_in_the_overlay(path: &str) -> String {
    format!(
        "{path} is in the overlay; the boot loader would not see it. Nothing was changed: boot once with rd.overlay=0, or \
         run overlayctl enable in overlayctl shell"
    )
}

/// `disable` once more, in the lower, which is writable meanwhile.
fn below(common: &Common) -> Result<Exit> {
    let mut command = vec!["/proc/self/exe".to_owned(), "disable".to_owned()];
    if let Some(kind) = common.boot_loader {
        command.push(format!("--boot-loader={}", kind.word()));
    }
    command.extend(common.rebuild.then(|| "--rebuild".to_owned()));
    command.extend(common.json.then(|| "--json".to_owned()));
    eprintln!("overlayctl: the root is an overlay; editing the lower");
    let code = lower::run(&lower::Args { read_only: false, command })?;
    if code.code() == Exit::NotOpened.code() {
        return refuse(
            "the lower could not be opened or closed; check with overlayctl is-enabled, or boot once with rd.overlay=0 and \
             repeat it there",
        );
    }
    Ok(code)
}

/// dracut's drop-in does not matter for the next boot: where it can't be kept, that is said.
fn kept(root: &str, tree: &Tree, edit: Option<Edit>, notes: &mut Vec<String>) -> Result<Option<Edit>> {
    let Some(edit) = edit else { return Ok(None) };
    let alone = Plan { edits: vec![edit.clone()], ..Plan::default() };
    match apply::lost(root, tree, &alone)?.first() {
        None => Ok(Some(edit)),
        Some(path) => {
            notes.push(format!("{path} is in the overlay and was not changed"));
            Ok(None)
        }
    }
}

fn finish(job: &Job<'_>) -> Result<Exit> {
    if !job.common.json {
        print!("{}", told::text(job));
    }
    if !job.common.dry_run {
        if !job.plan.is_done() {
            apply::apply(&job.common.root, &job.tree, job.kind, &job.plan)?;
        }
        if job.common.rebuild {
            initramfs::rebuild(&job.common.root, job.kind)?;
        }
    }
    let end = checked::after(job);
    match job.common.json {
        true => crate::output::out::json(&told::value(job, &end))?,
        false => end.print(),
    }
    Ok(end.code)
}

#[cfg(test)]
mod tests;

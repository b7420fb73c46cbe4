// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl enable` and `disable`: our kernel arguments into the boot loader's files and out of them, by whatever
//! the host has, and dracut's drop-in with them.

mod apply;
mod initramfs;
pub mod read;

use anyhow::{Result, ensure};
use overlayroot_core::cmdline::Source;
use overlayroot_core::loader::ask::{self, Given};
use overlayroot_core::loader::diff::diff;
use overlayroot_core::loader::{Edit, Kind, Plan, Tree, module, plan};
use serde_json::json;
use std::process::ExitCode;

/// What both verbs take.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Take this one, in place of what is found
    #[arg(long, value_name = "KIND", value_parser = kind)]
    boot_loader: Option<Kind>,
    /// Work on the system in this directory; none of its programs is run
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    root: String,
    /// Make the initramfs of every kernel anew, too
    #[arg(long)]
    rebuild: bool,
    /// Print what would change, change nothing
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
    let found = Kind::ALL.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
    let names: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
    found.ok_or_else(|| format!("one of {}", names.join(", ")))
}

/// Everything decided, before anything is done.
struct Job<'a> {
    common: &'a Common,
    tree: Tree,
    kind: Kind,
    reason: String,
    plan: Plan,
    enable: bool,
}

/// Puts the arguments there.
pub fn enable(asked: &Enable) -> Result<ExitCode> {
    let default = [ask::DEFAULT.to_owned()];
    let words = if asked.arguments.is_empty() { &default[..] } else { &asked.arguments };
    let tree = read::tree(&asked.common.root)?;
    match ask::parse(words, &conf(&tree)) {
        Ok(given) => run(&asked.common, tree, &given),
        Err(wrong) => {
            wrong.iter().for_each(|why| eprintln!("overlayctl: {why}"));
            eprintln!("overlayctl: nothing was changed");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Takes them away.
pub fn disable(asked: &Disable) -> Result<ExitCode> {
    run(&asked.common, read::tree(&asked.common.root)?, &[])
}

/// The configuration files of that system, in their order.
fn conf(tree: &Tree) -> Vec<Source> {
    let of = |path: &str| path == "etc/overlayroot-rs.conf" || path.starts_with("etc/overlayroot-rs.conf.d/");
    let files = tree.files.iter().filter(|(path, _)| of(path));
    files.map(|(path, text)| Source::new(format!("/{path}"), text.clone())).collect()
}

fn refuse(why: &str) -> Result<ExitCode> {
    eprintln!("overlayctl: {why}");
    Ok(ExitCode::FAILURE)
}

fn run(common: &Common, tree: Tree, given: &[Given]) -> Result<ExitCode> {
    ensure!(!common.rebuild || tree.live, "--rebuild works on the running system: run dracut in {}", common.root);
    let (kind, reason) = match (common.boot_loader, tree.detect()) {
        (Some(Kind::Grubby), _) if !tree.live => return refuse("grubby can't work on another tree: take bls"),
        (Some(kind), _) => (kind, "asked for".to_owned()),
        (None, Ok(found)) => found,
        (None, Err(why)) => return refuse(&why),
    };
    let mut plan = match plan(&tree, kind, given) {
        Ok(plan) => plan,
        Err(why) => return refuse(&why),
    };
    let enable = !given.is_empty();
    let lost = apply::lost(&common.root, &tree, &plan)?;
    if let Some(path) = lost.first() {
        return refuse(&format!(
            "{path} lies in the overlay that runs now, where no boot loader looks: nothing was changed. Boot once with \
             rd.overlay=0, or use overlayctl shell, and repeat it there"
        ));
    }
    if common.rebuild && apply::boot_is_lost()? {
        return refuse(
            "--rebuild: /boot lies in the overlay that runs now: nothing was changed. Boot once with rd.overlay=0",
        );
    }
    let (edit, note) = module(&tree, enable);
    plan.notes.extend(note);
    plan.edits.extend(kept(&common.root, &tree, edit, &mut plan.notes)?);
    initramfs::advise(&common.root, &tree, enable, common.rebuild, &mut plan);
    let job = Job { common, tree, kind, reason, plan, enable };
    finish(&job)
}

/// dracut's drop-in does not matter for the next boot: where it can't be kept, that is said.
fn kept(root: &str, tree: &Tree, edit: Option<Edit>, notes: &mut Vec<String>) -> Result<Option<Edit>> {
    let Some(edit) = edit else { return Ok(None) };
    let alone = Plan { edits: vec![edit.clone()], ..Plan::default() };
    match apply::lost(root, tree, &alone)?.first() {
        None => Ok(Some(edit)),
        Some(path) => {
            notes.push(format!("{path} stays as it is: it lies in the overlay that runs now"));
            Ok(None)
        }
    }
}

fn finish(job: &Job<'_>) -> Result<ExitCode> {
    if !job.common.json {
        print!("{}", text(job));
    }
    if !job.common.dry_run {
        if !job.plan.is_done() {
            apply::apply(&job.common.root, &job.tree, job.kind, &job.plan)?;
        }
        if job.common.rebuild {
            initramfs::rebuild(&job.common.root)?;
        }
    }
    if job.common.json {
        println!("{}", serde_json::to_string_pretty(&value(job))?);
    } else if job.common.dry_run {
        println!("nothing was changed (--dry-run)");
    } else if !job.plan.is_done() {
        let word = if job.enable { "enabled" } else { "disabled" };
        let when = if job.plan.todo.is_empty() { "from the next boot on" } else { "once the rest is done, see above" };
        println!("{word} {when}");
    }
    Ok(ExitCode::SUCCESS)
}

fn text(job: &Job<'_>) -> String {
    let mut out = format!("boot loader: {} ({})\n", job.kind.word(), job.reason);
    for edit in &job.plan.edits {
        out.push_str(&diff(&edit.path, edit.before.as_deref(), edit.after.as_deref()));
    }
    for command in &job.plan.commands {
        out.push_str(&format!("run: {}\n", shell(command)));
    }
    if job.plan.is_done() {
        out.push_str("nothing to change\n");
    }
    job.plan.notes.iter().for_each(|note| out.push_str(&format!("note: {note}\n")));
    job.plan.todo.iter().for_each(|todo| out.push_str(&format!("to do: {todo}\n")));
    out
}

/// A command as one would type it.
fn shell(words: &[String]) -> String {
    let plain = |word: &String| word.chars().all(|c| c.is_ascii_alphanumeric() || "_./:=,@+-%".contains(c));
    let quoted = |word: &String| if plain(word) { word.clone() } else { format!("'{word}'") };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn value(job: &Job<'_>) -> serde_json::Value {
    let edits = job.plan.edits.iter().map(|edit| {
        json!({
            "path": format!("/{}", edit.path),
            "what": match (&edit.before, &edit.after) {
                (None, _) => "made",
                (_, None) => "removed",
                _ => "changed",
            },
            "diff": diff(&edit.path, edit.before.as_deref(), edit.after.as_deref()),
        })
    });
    json!({
        "boot_loader": job.kind.word(),
        "reason": job.reason,
        "arguments": job.plan.want,
        "done": !job.common.dry_run,
        "edits": edits.collect::<Vec<_>>(),
        "commands": job.plan.commands,
        "notes": job.plan.notes,
        "todo": job.plan.todo,
    })
}

#[cfg(test)]
#[path = "enable_tests.rs"]
mod tests;

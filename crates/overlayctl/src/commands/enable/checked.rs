// SPDX-License-Identifier: GPL-2.0-or-later
//! `enable` and `disable` held against what the next boot then does: before anything is changed, and in the end.

use super::Job;
use crate::commands::doctor;
use crate::output::exit::Exit;
use crate::state::next::{self, Query};
use crate::state::thaw;
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use overlayroot_host::doctor::Grade;
use overlayroot_host::next::{Asker, Module, NextBoot, Verdict};

fn query<'a>(job: &'a Job<'_>, want: bool) -> Query<'a> {
    Query {
        root: &job.common.root,
        kind: Some(job.kind),
        want: want.then_some(job.given),
        lister: job.lister,
        frozen: true,
        ..Query::HERE
    }
}

/// Whether nothing speaks against the next boot with these arguments; what does is said. What a rebuilt initramfs
/// will have counts only when it is made.
pub fn may(job: &Job<'_>) -> Result<bool> {
    if !job.tree.live {
        return Ok(true);
    }
    if matches!(thaw::pending(), Ok(Some(_))) {
        eprintln!(
            "overlayctl: note: the next boot is thawed, see overlayctl thaw --status; this is of those behind it"
        );
    }
    let found = doctor::findings(&next::find(&query(job, true)))?;
    let mut bad: Vec<_> = found.into_iter().filter(|finding| finding.grade == Grade::Problem).collect();
    // Who makes the next images is told with the notes.
    let of_image = |check: &str| matches!(check, "initramfs" | "generator");
    bad.retain(|finding| !(job.common.rebuild && of_image(finding.check)));
    for finding in &bad {
        eprintln!("overlayctl: PROBLEM: {}", finding.text);
        if !finding.todo.is_empty() {
            eprintln!("overlayctl:          -> {}", finding.todo);
        }
    }
    if !bad.is_empty() {
        let image = bad.iter().all(|finding| of_image(finding.check));
        let hint = if image && job.tree.has("dracut") { "--rebuild rebuilds the initramfs, " } else { "" };
        job.plan.notes.iter().for_each(|note| eprintln!("overlayctl: note: {note}"));
        eprintln!("overlayctl: nothing was changed; {hint}--force enables it anyway");
    }
    Ok(bad.is_empty())
}

/// How it ended.
pub struct End {
    /// What the next boot does.
    pub boot: NextBoot,
    /// The exit status.
    pub code: Exit,
    sentence: String,
    good: bool,
    todo: Vec<String>,
}

impl End {
    /// The sentence.
    #[cfg(test)]
    pub fn says(&self) -> &str {
        &self.sentence
    }

    /// Says it: green only where it is so.
    pub fn print(&self) {
        let color = if self.good { AnsiColor::Green } else { AnsiColor::Yellow };
        let (style, plain) = (color.on_default().bold(), Style::new());
        println!("{style}{}{plain:#}{style:#}", self.sentence);
        self.todo.iter().for_each(|todo| println!("to do: {todo}"));
    }
}

/// Looks what the next boot does now, or with `--dry-run` would do.
pub fn after(job: &Job<'_>) -> End {
    let dry = job.common.dry_run;
    let boot = next::find(&query(job, dry)).boot;
    let verdict = boot.verdict();
    let wanted = if job.enables() { Verdict::Enabled } else { Verdict::Disabled };
    let anew = dry && job.common.rebuild;
    let (word, known) = match (job.enables(), verdict) {
        _ if anew => ("the initramfs will be rebuilt; NOT KNOWN before that", false),
        (true, Verdict::Enabled) => ("enabled", true),
        (false, Verdict::Disabled) => ("disabled", true),
        (true, Verdict::Unknown) => ("set, but NOT KNOWN to be enabled", false),
        (false, Verdict::Unknown) => ("removed, but NOT KNOWN to be disabled", false),
        (true, _) => ("NOT enabled", true),
        (false, _) => ("NOT disabled", true),
    };
    let good = verdict == wanted && !anew && (dry || job.plan.todo.is_empty());
    let when = if dry { "nothing was changed (--dry-run); then: " } else { "" };
    let open = verdict != wanted && !job.plan.todo.is_empty() && !dry;
    let rest = if open { " until the rest is done, see above" } else { "" };
    let sentence = match anew {
        true => format!("{when}{word}"),
        false => format!("{when}{word}{rest}; next boot: {}", boot.says()),
    };
    let todo = if verdict == wanted || anew { Vec::new() } else { mends(job, &boot) };
    // Of another system's tree not all can be known, and some is still to be made: what is asked there is the edit.
    let elsewhere = !job.tree.live && (job.enables() || !known || !job.plan.todo.is_empty());
    let code = if verdict == wanted || elsewhere || dry { Exit::Good } else { Exit::No };
    End { boot, code, sentence, good, todo }
}

/// What a person can do about it.
fn mends(job: &Job<'_>, boot: &NextBoot) -> Vec<String> {
    let mut found = Vec::new();
    if job.enables() {
        match &boot.image.module {
            Module::There => {}
            Module::Missing(_) | Module::NotKnown(_) if job.tree.live && job.kind.loader().copier().is_some() => {
                found.push("rebuild the initramfs: overlayctl enable --rebuild".to_owned());
            }
            Module::Missing(_) | Module::NotKnown(_) if job.tree.live && job.tree.has("dracut") => {
                found.push("rebuild the initramfs: overlayctl enable --rebuild, or dracut --force".to_owned());
            }
            Module::Missing(_) | Module::NotKnown(_) => {}
        }
        return found;
    }
    for asker in boot.asked() {
        let mend = mend(&asker, boot);
        if !found.contains(&mend) {
            found.push(mend);
        }
    }
    found
}

fn mend(asker: &Asker, boot: &NextBoot) -> String {
    let Asker { text, source } = asker;
    let of_image = boot.image.own.as_ref().is_some_and(|own| {
        let file = source.split(':').next().unwrap_or(source);
        own.conf.iter().chain(&own.cmdline).any(|copy| copy.name == file)
    });
    match of_image {
        true => {
            let image = boot.image.path.as_deref().unwrap_or("the initramfs");
            format!(
                "{text} is in {image}, in its own copy of {source}: overlayctl disable --rebuild, or dracut --force"
            )
        }
        false => format!(
            "{text} in {source} asks for an overlay and belongs to another tool: remove it there, or add rd.overlay=0 to \
             the kernel command line"
        ),
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl doctor`: whether the next boot will do what is configured, and what to do where it won't.

use crate::commands::commit;
use crate::output::exit::Exit;
use crate::output::out::fold;
use crate::state::hostprobe;
use crate::state::next::{self, Next, Query};
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use overlayroot_host::doctor::{Finding, Grade, Host, examine, worst};
use serde_json::json;

/// All that is found of a next boot.
///
/// # Errors
/// Where this machine can't be looked at.
pub fn findings(next: &Next) -> Result<Vec<Finding>> {
    let (boot, decision) = (&next.boot, next.decision()?);
    let request = if next.boot.live { commit::outlook()? } else { None };
    let host = Host { request, ..hostprobe::look(next) };
    Ok(examine(&boot.inputs, &boot.config, &next.facts, decision, &host))
}

/// Judges `cmdline`, or the next boot's.
pub fn run(cmdline: Option<String>, as_json: bool) -> Result<Exit> {
    let found = findings(&next::find(&Query { cmdline: cmdline.as_deref(), ..Query::HERE }))?;
    let worst = worst(&found);
    match as_json {
        true => crate::output::out::json(&json!({ "worst": worst, "findings": found }))?,
        false => found.iter().for_each(show),
    }
    Ok(match worst {
        Grade::Ok | Grade::Note => Exit::Good,
        Grade::Warning => Exit::No,
        Grade::Problem => Exit::Critical,
    })
}

fn show(finding: &Finding) {
    let (word, style) = match finding.grade {
        Grade::Ok => ("ok", AnsiColor::Green.on_default().bold()),
        Grade::Note => ("note", Style::new()),
        Grade::Warning => ("warning", AnsiColor::Yellow.on_default().bold()),
        Grade::Problem => ("PROBLEM", AnsiColor::Red.on_default().bold()),
    };
    // Words of 7 and 13 letters, with two blanks behind each.
    println!("{style}{word:>7}{style:#}  {:<13}  {}", finding.check, fold(24, &finding.text));
    if !finding.todo.is_empty() {
        println!("{:>7}  {:<13}  -> {}", "", "", fold(27, &finding.todo));
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl doctor`: whether the next boot will do what is configured, and what to do where it won't.

use crate::hostprobe;
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use overlayroot_core::cmdline::{Source, lex};
use overlayroot_core::config::Config;
use overlayroot_core::doctor::{Finding, Grade, examine, worst};
use overlayroot_core::plan::decide;
use overlayroot_linux::{probe, sources};
use serde_json::json;
use std::process::ExitCode;

/// Judges `cmdline`, or this boot's.
pub fn run(cmdline: Option<String>, as_json: bool) -> Result<ExitCode> {
    let mut inputs = sources::read(Some("/"));
    if let Some(text) = cmdline {
        inputs.cmdline = vec![Source::new("/proc/cmdline", text)];
    }
    let config = Config::read(&inputs);
    let facts = probe::host(&config, &lex(&inputs.cmdline))?;
    let decision = decide(&config, &facts);
    let host = hostprobe::look(&config, &facts);
    let found = examine(&inputs, &config, &facts, &decision, &host);
    let worst = worst(&found);
    match as_json {
        true => println!("{}", serde_json::to_string_pretty(&json!({ "worst": worst, "findings": found }))?),
        false => found.iter().for_each(show),
    }
    Ok(match worst {
        Grade::Ok | Grade::Note => ExitCode::SUCCESS,
        Grade::Warning => ExitCode::from(1),
        Grade::Problem => ExitCode::from(2),
    })
}

fn show(finding: &Finding) {
    let (word, style) = match finding.grade {
        Grade::Ok => ("ok", AnsiColor::Green.on_default().bold()),
        Grade::Note => ("note", Style::new()),
        Grade::Warning => ("warning", AnsiColor::Yellow.on_default().bold()),
        Grade::Problem => ("PROBLEM", AnsiColor::Red.on_default().bold()),
    };
    println!("{style}{word:>7}{style:#}  {:<13}  {}", finding.check, finding.text);
    if !finding.todo.is_empty() {
        println!("{:>7}  {:<13}  -> {}", "", "", finding.todo);
    }
}

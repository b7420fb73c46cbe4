// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl config`: the effective configuration, each value with where it came from, and what is not heeded.

use crate::commands::plan;
use crate::output::exit::Exit;
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use overlayroot_core::config::Config;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_host::settings::{self, From, Setting};
use serde_json::json;

/// Version of the JSON; raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// What is to be shown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kernel command line to use instead of this boot's
    #[arg(long, value_name = "TEXT")]
    pub cmdline: Option<String>,
    /// Only values that were given, not the defaults
    #[arg(long)]
    pub given: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it. 1 where something is not understood.
pub fn run(asked: &Args) -> Result<Exit> {
    let inputs = plan::inputs(asked.cmdline.as_deref());
    let config = Config::read(&inputs);
    let mut settings = settings::settings(&inputs, &config);
    settings.retain(|setting| !asked.given || !setting.said.is_empty() || setting.origin != From::Default);
    if asked.json {
        let value = json!({
            "schema": SCHEMA,
            "settings": settings,
            "issues": config.issues,
            "notes": config.notes,
        });
        crate::output::out::json(&value)?;
    } else {
        show(&config, &settings);
    }
    Ok(if config.issues.is_empty() { Exit::Good } else { Exit::No })
}

fn show(config: &Config, settings: &[Setting]) {
    let (given, faint) = (Style::new().bold(), Style::new().dimmed());
    let bad = AnsiColor::Yellow.on_default().bold();
    for setting in settings {
        let value = escape(&setting.value);
        match &setting.origin {
            From::Default => println!("{faint}{:<24} {value:<24} # default{faint:#}", setting.key),
            From::Given { source, text } => {
                println!("{given}{:<24} {value:<24}{given:#} # {} in {source}", setting.key, escape(text));
            }
        }
        for said in setting.said.iter().filter(|said| !said.decides) {
            println!("  {bad}ignored{bad:#} {} in {}: {}", escape(&said.text), said.source, said.why);
        }
    }
    for issue in &config.issues {
        println!("{bad}mistake{bad:#} {issue}");
    }
    for note in &config.notes {
        println!("note    {note}");
    }
}

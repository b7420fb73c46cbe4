// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl explain KEY`: what a key means, what it is here, and who said so.

use crate::exit::Exit;
use crate::plan;
use anyhow::Result;
use overlayroot_core::config::Config;
use overlayroot_core::effective::{self, From, Setting};
use overlayroot_core::grammar::Key;
use overlayroot_core::issue::shown;
use serde_json::json;

/// What is to be explained.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key, whole or its end: rd.overlay.stale, stale
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Kernel command line to take it from, in place of this boot's
    #[arg(long, value_name = "TEXT")]
    pub cmdline: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Explains it.
pub fn run(asked: &Args) -> Result<Exit> {
    let key = match effective::find(&asked.key) {
        Ok(key) => key,
        Err(near) => {
            let hint =
                near.map_or_else(|| "overlayctl keys lists all".to_owned(), |near| format!("did you mean {near}?"));
            eprintln!("overlayctl: there is no key {}; {hint}", shown(&asked.key));
            return Ok(Exit::No);
        }
    };
    let inputs = plan::inputs(asked.cmdline.as_deref());
    let config = Config::read(&inputs);
    let settings = effective::settings(&inputs, &config);
    let setting = settings.into_iter().find(|setting| setting.key == key.name);
    let about = crate::manual::about(key);
    if asked.json {
        let value = json!({
            "schema": super::config::SCHEMA,
            "key": key.name,
            "syntax": key.syntax,
            "default": key.default,
            "deprecated": key.deprecated,
            "help": key.help,
            "about": about,
            "setting": setting,
        });
        println!("{}", serde_json::to_string_pretty(&value)?);
        return Ok(Exit::Good);
    }
    show(key, &about, setting.as_ref());
    Ok(Exit::Good)
}

fn show(key: &Key, about: &[String], setting: Option<&Setting>) {
    let bold = anstyle::Style::new().bold();
    println!("{bold}{}{bold:#}={}", key.name, key.syntax);
    println!();
    wrapped(key.help, "  ");
    for paragraph in about {
        println!();
        wrapped(paragraph, "  ");
    }
    println!();
    if !key.deprecated.is_empty() {
        println!("also (deprecated): {}", key.deprecated.join(", "));
    }
    let Some(setting) = setting else { return };
    let value = if setting.value.is_empty() { "none" } else { &setting.value };
    match &setting.origin {
        From::Default => println!("here: {} (the default)", shown(value)),
        From::Given { text, source } => println!("here: {} ({} in {source})", shown(value), shown(text)),
    }
    for said in setting.said.iter().filter(|said| !said.decides) {
        println!("  also {} in {}: {}", shown(&said.text), said.source, said.why);
    }
    println!("The kernel command line goes before /etc/overlayroot-rs.conf; within one the last occurrence counts.");
}

/// Prints a paragraph in lines of at most 78 characters.
fn wrapped(text: &str, indent: &str) {
    const WIDTH: usize = 78;
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        if line.len() > indent.len() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            println!("{line}");
            line = indent.to_owned();
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(word);
    }
    println!("{line}");
}

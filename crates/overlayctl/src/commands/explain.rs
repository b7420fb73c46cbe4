// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl explain KEY[=VALUE]`: what a key means, which values it takes, what it is here, and who said so; or what
//! each part of a value means.

mod form;
mod value;
mod values;

use crate::commands::plan;
use crate::output::exit::{Exit, refuse};
use crate::output::out::fold;
use anyhow::Result;
use form::Form;
use overlayroot_core::config::Config;
use overlayroot_core::keys::Key;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_host::settings::{self, From, Setting};
use serde_json::{Value, json};
use value::Given;

/// What is to be explained.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key, whole or its end: rd.overlay.stale, stale; with =VALUE what that value means
    #[arg(value_name = "KEY[=VALUE]")]
    pub key: String,
    /// Kernel command line to use instead of this boot's
    #[arg(long, value_name = "TEXT")]
    pub cmdline: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Explains it. 1 where there is no such key, or the boot would not take the value.
pub fn run(asked: &Args) -> Result<Exit> {
    let key = match settings::find(&asked.key) {
        Ok(key) => key,
        Err(near) => {
            let hint =
                near.map_or_else(|| "overlayctl keys lists all".to_owned(), |near| format!("did you mean {near}?"));
            return refuse(&format!("there is no key {}; {hint}", escape(&asked.key)));
        }
    };
    let inputs = plan::inputs(asked.cmdline.as_deref());
    let config = Config::read(&inputs);
    let settings = settings::settings(&inputs, &config);
    let setting = settings.into_iter().find(|setting| setting.key == key.name);
    let about = crate::output::manual::about(key);
    let given = asked.key.split_once('=').map(|(_, given)| value::read(key, given));
    if asked.json {
        crate::output::out::json(&as_value(key, &about, setting.as_ref(), given.as_ref()))?;
    } else if let Some(given) = &given {
        show_value(key, given);
    } else {
        show(key, &about, setting.as_ref());
    }
    Ok(given.is_none_or(|given| given.mistakes.is_empty()).into())
}

fn as_value(key: &Key, about: &[String], setting: Option<&Setting>, given: Option<&Given>) -> Value {
    let form = |form: &Form| json!({ "form": form.syntax(), "text": form.says, "parameters": form.parameters });
    let presets = values::presets(key);
    let mut value = json!({
        "schema": super::config::SCHEMA,
        "key": key.name,
        "syntax": key.syntax(),
        "default": key.default,
        "deprecated": key.deprecated,
        "help": key.help(),
        "values": values::of(key).iter().map(form).collect::<Vec<_>>(),
        "presets": presets.iter().map(|(name, paths)| json!({ "name": name, "paths": paths })).collect::<Vec<_>>(),
        "about": about,
        "setting": setting,
    });
    if let (Value::Object(fields), Some(given)) = (&mut value, given) {
        fields.insert("value".to_owned(), json!(given));
    }
    value
}

/// What one value means.
fn show_value(key: &Key, given: &Given) {
    let bold = anstyle::Style::new().bold();
    println!("{bold}{}{bold:#}={}", key.name, escape(&given.value));
    println!();
    for said in &given.parts {
        row(&escape(&said.part), &said.text);
    }
    let taken = if given.taken_as.is_empty() { "none" } else { &given.taken_as };
    if !given.parts.is_empty() {
        println!();
    }
    println!("taken as: {}", escape(taken));
    for mistake in &given.mistakes {
        println!("mistake: {}", fold(9, mistake));
    }
    if !given.mistakes.is_empty() {
        println!("overlayctl explain {} lists the values", key.name);
    }
}

fn show(key: &Key, about: &[String], setting: Option<&Setting>) {
    let bold = anstyle::Style::new().bold();
    println!("{bold}{}{bold:#}={}", key.name, key.syntax());
    println!();
    println!("  {}", fold(2, key.help()));
    println!();
    println!("values:");
    for form in values::of(key) {
        row(&form.syntax(), form.says);
        if !form.rest.name.is_empty() {
            row(&format!("  {}", form.rest.name), form.rest.says);
        }
        for part in form.parameters {
            row(&format!("  ,{}", part.name), part.says);
        }
    }
    for (name, paths) in values::presets(key) {
        row(name, &format!("stands for {paths}"));
    }
    for paragraph in about {
        println!();
        println!("  {}", fold(2, paragraph));
    }
    println!();
    if !key.deprecated.is_empty() {
        println!("also (deprecated): {}", key.deprecated.join(", "));
    }
    let Some(setting) = setting else { return };
    let value = if setting.value.is_empty() { "none" } else { &setting.value };
    match &setting.origin {
        From::Default => println!("here: {} (the default)", escape(value)),
        From::Given { text, source } => println!("here: {} ({} in {source})", escape(value), escape(text)),
    }
    for said in setting.said.iter().filter(|said| !said.decides) {
        println!("  {}", fold(2, &format!("also {} in {}: {}", escape(&said.text), said.source, said.why)));
    }
    println!("{}", fold(0, "The kernel command line overrides /etc/overlayroot-rs.conf; the last value wins."));
}

/// A name, and beside it what it means.
fn row(name: &str, text: &str) {
    println!("  {name:<16} {}", fold(19, text));
}

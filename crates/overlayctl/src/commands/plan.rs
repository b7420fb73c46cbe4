// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl plan`: what the next boot would do, decided by the initramfs's own code.

use crate::output::exit::Exit;
use crate::output::out::fold;
use crate::state::next::{self, Next, Query};
use anyhow::Result;
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::parse::cmdline::Source;
use overlayroot_core::plan::Decision;
use overlayroot_core::step::plan::Plan;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_host::next::{Module, NextBoot, Verdict};
use overlayroot_linux::source;
use serde_json::{Value, json};

/// Plans for `cmdline`, or for the next boot's.
pub fn run(cmdline: Option<String>, as_json: bool) -> Result<Exit> {
    let next = next::find(&Query { cmdline: cmdline.as_deref(), ..Query::HERE });
    if !next::is_root() {
        eprintln!("overlayctl: not root: devices and images can't be read, and the plan may say that one is missing");
    }
    let decision = next.decision()?;
    match as_json {
        true => crate::output::out::json(&as_value(&next.boot, decision))?,
        false => show(&next, decision),
    }
    Ok(match as_asked(&next.boot, decision, cmdline.is_some()) {
        true => Exit::Good,
        false => Exit::No,
    })
}

/// Whether that boot does what is asked for, as far as is known; of a command line that was given, by the plan.
pub fn as_asked(boot: &NextBoot, decision: &Decision, given: bool) -> bool {
    let idle = matches!(boot.image.module, Module::Missing(_)) && boot.config.asks_for_overlay();
    let known = given || boot.verdict() != Verdict::Unknown;
    known && !idle && boot.config.issues.is_empty() && !matches!(decision, Decision::Instead(..))
}

/// What this host says, with `cmdline` in place of its own.
pub fn inputs(cmdline: Option<&str>) -> Inputs {
    let mut inputs = source::read(Some("/"));
    if let Some(text) = cmdline {
        // `/proc/cmdline` is where the next boot will read it.
        inputs.cmdline = vec![Source::new("/proc/cmdline", text)];
    }
    inputs
}

fn show(next: &Next, decision: &Decision) {
    let config = &next.boot.config;
    println!("next boot: {}", fold(11, &next.boot.says()));
    if next.boot.line.is_err() {
        println!("           what follows holds if it has this boot's command line");
    }
    println!("asked for: {}  [{}]", escape(&config.upper.value.to_string()), config.upper.origin);
    println!("fallback:  {}  [{}]", config.fallback.value.word(), config.fallback.origin);
    for issue in &config.issues {
        println!("issue:     {}", fold(11, &issue.to_string()));
    }
    for line in decision.to_string().lines() {
        println!("{}", fold(if line.starts_with(' ') { 3 } else { 0 }, line));
    }
    if let Decision::Do(plan) | Decision::Instead(_, plan) = decision {
        println!("{}", plan.effective.changes());
    }
}

fn as_value(boot: &NextBoot, decision: &Decision) -> Value {
    let config: &Config = &boot.config;
    let (word, refusal, plan) = match decision {
        Decision::Off => ("off", Value::Null, None),
        Decision::NotYet => ("not-yet", Value::Null, None),
        Decision::Do(plan) => ("do", Value::Null, Some(plan)),
        Decision::Instead(refusal, plan) => {
            ("instead", json!({"code": refusal.code, "text": refusal.text}), Some(plan))
        }
    };
    json!({
        "next_boot": boot.told(),
        "decision": word,
        "refusal": refusal,
        "requested": overlayroot_core::record::Requested::of(config),
        "issues": config.issues,
        "steps": plan.map(steps).unwrap_or_default(),
        "effective": plan.map(|plan| &plan.effective),
        "notes": plan.map(|plan| &plan.notes),
    })
}

fn steps(plan: &Plan) -> Vec<Value> {
    plan.steps.iter().map(|step| json!({"step": step.name(), "text": format!("{step:#}")})).collect()
}

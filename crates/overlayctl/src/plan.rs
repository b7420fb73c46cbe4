// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl plan`: what the next boot would do, decided by the initramfs's own code.

use anyhow::Result;
use overlayroot_core::cmdline::{Source, lex};
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::issue::shown;
use overlayroot_core::plan::{Decision, Plan, decide};
use overlayroot_linux::{probe, sources};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;

/// Plans for `cmdline`, or for this boot's.
pub fn run(cmdline: Option<String>, as_json: bool) -> Result<ExitCode> {
    let inputs = inputs(cmdline.as_deref());
    let config = Config::read(&inputs);
    if !std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0) {
        eprintln!("overlayctl: not root, so devices can't be read: the plan may say that one is missing");
    }
    let facts = probe::host(&config, &lex(&inputs.cmdline))?;
    let decision = decide(&config, &facts);
    match as_json {
        true => println!("{}", serde_json::to_string_pretty(&as_value(&config, &decision))?),
        false => show(&config, &decision),
    }
    Ok(match decision {
        Decision::Instead(..) => ExitCode::FAILURE,
        _ if !config.issues.is_empty() => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

/// What this host says, with `cmdline` in place of its own.
pub fn inputs(cmdline: Option<&str>) -> Inputs {
    let mut inputs = sources::read(Some("/"));
    if let Some(text) = cmdline {
        // `/proc/cmdline` is where the next boot will read it.
        inputs.cmdline = vec![Source::new("/proc/cmdline", text)];
    }
    inputs
}

fn show(config: &Config, decision: &Decision) {
    println!("asked for: {}  [{}]", shown(&config.upper.value.to_string()), config.upper.origin);
    println!("fallback:  {}  [{}]", config.fallback.value.word(), config.fallback.origin);
    for issue in &config.issues {
        println!("issue:     {issue}");
    }
    print!("{decision}");
    if let Decision::Do(plan) | Decision::Instead(_, plan) = decision {
        println!("{}", plan.effective.changes());
    }
}

fn as_value(config: &Config, decision: &Decision) -> Value {
    let (word, refusal, plan) = match decision {
        Decision::Off => ("off", Value::Null, None),
        Decision::NotYet => ("not-yet", Value::Null, None),
        Decision::Do(plan) => ("do", Value::Null, Some(plan)),
        Decision::Instead(refusal, plan) => {
            ("instead", json!({"code": refusal.code, "text": refusal.text}), Some(plan))
        }
    };
    json!({
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
    plan.steps.iter().map(|step| json!({"step": step.name(), "text": step.to_string()})).collect()
}

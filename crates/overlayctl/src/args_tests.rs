// SPDX-License-Identifier: GPL-2.0-or-later
//! The help and the walk of exit statuses have every verb.
use super::*;

/// Every verb without verbs below it, and those that do something without the one below.
fn leaves(command: &clap::Command, so_far: &str, found: &mut Vec<String>) {
    for verb in command.get_subcommands() {
        let name = format!("{so_far}{:?}", verb.get_name());
        if !verb.is_subcommand_required_set() {
            found.push(name.clone());
        }
        leaves(verb, &format!("{name}, "), found);
    }
}

#[test]
fn every_verb_is_in_a_group_or_hidden() {
    let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
    let command = command();
    let mut seen: Vec<&str> =
        command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name).collect();
    seen.push("help");
    grouped.sort_unstable();
    seen.sort_unstable();
    assert_eq!(grouped, seen);
    let hidden = command.get_subcommands().filter(|verb| verb.is_hide_set());
    let hidden: Vec<&str> = hidden.map(clap::Command::get_name).collect();
    assert_eq!(hidden, ["label", "keep", "watch", "trim"], "only what units alone call is hidden");
}

#[test]
fn the_help_fits_a_terminal() {
    let help = command().render_help().to_string();
    assert!(help.contains("\nUppers:\n  reset ") && !help.contains("  label"), "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
}

#[test]
fn the_walk_of_exit_statuses_has_every_verb() {
    let walk = include_str!("../tests/exit.rs");
    let mut found = Vec::new();
    leaves(&command(), "", &mut found);
    assert!(found.len() > 30, "{found:?}");
    for verb in found {
        assert!(walk.contains(&format!("(&[{verb}")), "tests/exit.rs lacks {verb}");
    }
}

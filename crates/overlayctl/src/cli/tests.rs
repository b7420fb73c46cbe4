// SPDX-License-Identifier: GPL-2.0-or-later
//! The help and the walk of exit statuses have every verb.
use super::groups::GROUPS;
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
    assert_eq!(
        hidden,
        ["label", "good", "keep", "watch", "thawed", "kernel", "trim"],
        "only what units alone call is hidden"
    );
}

#[test]
fn the_help_fits_a_terminal() {
    let help = command().render_help().to_string();
    assert!(help.contains("\nUppers:\n  reset ") && !help.contains("  label"), "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
}

/// Options of every verb, with the verb.
fn options(command: &clap::Command, so_far: &str, found: &mut Vec<(String, Option<char>, String)>) {
    for argument in command.get_arguments() {
        let long = argument.get_long().unwrap_or_default().to_owned();
        found.push((so_far.to_owned(), argument.get_short(), long));
    }
    for verb in command.get_subcommands() {
        options(verb, &format!("{so_far}{} ", verb.get_name()), found);
    }
}

#[test]
fn n_is_a_dry_run_of_every_verb_and_of_nothing_else() {
    let mut found = Vec::new();
    options(&command(), "", &mut found);
    let dry = found.iter().filter(|(_, _, long)| long == "dry-run");
    assert!(dry.count() > 4, "{found:?}");
    for (verb, short, long) in found {
        assert_eq!(short == Some('n'), long == "dry-run", "{verb}: -{short:?} --{long}");
    }
}

/// The verbs that bootctl, git, podman and systemctl begin their helps with.
const STANDARD: [&str; 29] = [
    "Accept", "Add", "Build", "Check", "Copy", "Create", "Delete", "Discard", "Explain", "Fetch", "Grow", "Import",
    "List", "Manage", "Mark", "Monitor", "Move", "Pack", "Print", "Relabel", "Remove", "Rename", "Resize", "Run",
    "Save", "Set", "Show", "Use", "Verify",
];

#[test]
fn every_verb_is_told_by_a_standard_one() {
    fn of(command: &clap::Command, found: &mut Vec<String>) {
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            found.push(verb.get_about().map(ToString::to_string).unwrap_or_default());
            of(verb, found);
        }
    }
    let mut found = Vec::new();
    of(&command(), &mut found);
    assert!(found.len() > 34, "{found:?}");
    for about in found {
        let first = about.split([' ', ',']).next().unwrap_or_default();
        assert!(STANDARD.contains(&first), "'{about}' begins with none of {STANDARD:?}");
    }
}

#[test]
fn the_walk_of_exit_statuses_has_every_verb() {
    let walk = include_str!("../../tests/exit.rs");
    let mut found = Vec::new();
    leaves(&command(), "", &mut found);
    assert!(found.len() > 30, "{found:?}");
    for verb in found {
        assert!(walk.contains(&format!("(&[{verb}")), "tests/exit.rs lacks {verb}");
    }
}

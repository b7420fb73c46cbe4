// SPDX-License-Identifier: GPL-2.0-or-later
//! The verbs in groups, as the help shows them.

use super::Args;
use clap::CommandFactory;

/// How the verbs stand in the help; those that only units call are hidden, and stand in the manual.
pub(super) const GROUPS: [(&str, &[&str]); 6] = [
    ("Show", &["status", "check", "plan", "doctor", "is-enabled"]),
    ("Set up", &["enable", "disable", "migrate", "config", "explain", "keys"]),
    ("Changes", &["diff", "du", "top", "stale"]),
    ("Uppers", &["reset", "revert", "commit", "uppers", "resize", "trash", "loop"]),
    ("The root itself", &["thaw", "shell", "image", "pull"]),
    ("More", &["completions", "help"]),
];

/// The parser, with its verbs in groups.
pub fn command() -> clap::Command {
    let command = Args::command();
    let heading = command.get_styles().get_header().to_owned();
    let about = |name: &str| match name {
        "help" => "Print this, or the help of a command".to_owned(),
        name => command
            .find_subcommand(name)
            .and_then(clap::Command::get_about)
            .map(ToString::to_string)
            .unwrap_or_default(),
    };
    let mut text = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (group, verbs) in GROUPS {
        text.push_str(&format!("\n{heading}{group}:{heading:#}\n"));
        for verb in verbs {
            text.push_str(&format!("  {verb:<12} {}\n", about(verb)));
        }
    }
    text.push_str(&format!("\n{heading}Options:{heading:#}\n{{options}}{{after-help}}"));
    let hidden: Vec<&str> =
        command.get_subcommands().filter(|verb| verb.is_hide_set()).map(clap::Command::get_name).collect();
    let after = format!("Run by services, see overlayctl(8): {}", hidden.join(", "));
    command.help_template(text).after_help(after)
}

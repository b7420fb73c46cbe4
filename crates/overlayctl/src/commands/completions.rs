// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl completions`: made from the same parser that reads the arguments, so they can't be out of step. Keys are
//! in the script; the names of uppers are asked for when somebody presses the key.

use crate::output::exit::Exit;
use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap_complete::{Shell, generate};
use overlayroot_core::keys::KEYS;

/// For which shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where they are to be read: bash, zsh, fish
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    pub shell: Shell,
}

/// Stands for the names of uppers until the script is made.
const UPPERS: &str = "OVERLAYCTL_UPPERS";
/// Prints them.
const ASK: &str = "overlayctl uppers --names 2>/dev/null";
/// Verbs with `--upper NAME`, and verbs of `uppers` with a NAME.
const WITH_UPPER: [&str; 4] = ["diff", "du", "top", "stale"];
const WITH_NAME: [&str; 5] = ["restore", "clone", "rename", "remove", "describe"];

/// Prints them, for the verbs and options of `parser`.
pub fn run(asked: &Args, parser: clap::Command) -> Result<Exit> {
    print!("{}", text(asked.shell, parser)?);
    Ok(Exit::Good)
}

/// The parser, with what it leaves to the verbs: which keys there are, and where a name is one of an upper.
fn command(parser: clap::Command) -> clap::Command {
    let name = |arg: clap::Arg| arg.value_parser(PossibleValuesParser::new([UPPERS]));
    let keys = || KEYS.iter().map(|key| key.name);
    let mut command = parser;
    for verb in WITH_UPPER {
        command = command.mut_subcommand(verb, |verb| verb.mut_arg("upper", name));
    }
    for verb in WITH_NAME {
        let of_name = |verb: clap::Command| verb.mut_arg("name", name);
        command = command.mut_subcommand("uppers", |uppers| uppers.mut_subcommand(verb, of_name));
    }
    let of_key = |arg: clap::Arg| arg.value_parser(PossibleValuesParser::new(keys()));
    command.mut_subcommand("explain", |verb| verb.mut_arg("key", of_key))
}

fn text(shell: Shell, parser: clap::Command) -> Result<String> {
    let mut text = Vec::new();
    generate(shell, &mut command(parser), "overlayctl", &mut text);
    let text = String::from_utf8(text).context("the completions")?;
    if shell == Shell::Zsh {
        return Ok(zsh(&text));
    }
    if shell == Shell::Fish {
        return Ok(fish(text));
    }
    // In double quotes wherever it stands.
    Ok(text.replace(UPPERS, &format!("$({ASK})")))
}

fn zsh(text: &str) -> String {
    let function = format!("_overlayctl_uppers() {{\n    compadd -- ${{(f)\"$({ASK})\"}}\n}}\n");
    let text = text.replace(&format!("({UPPERS})"), "_overlayctl_uppers");
    // The first line is for zsh's compinit.
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    format!("{first}\n\n{function}{rest}")
}

/// clap's has no words for what is no option (clap_complete::Fish).
fn fish(text: String) -> String {
    let mut text = text.replace(&format!("{UPPERS}\\t''"), &format!("({ASK})"));
    let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let using = "complete -c overlayctl -n \"__fish_overlayctl_using_subcommand";
    text.push_str(&format!("{using} explain\" -f -a \"{}\"\n", keys.join(" ")));
    let names = WITH_NAME.join(" ");
    text.push_str(&format!("{using} uppers; and __fish_seen_subcommand_from {names}\" -f -a \"({ASK})\"\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;
    use std::process::Command;

    /// Words of the parser: verbs and long options that people see.
    fn words(command: &clap::Command, words: &mut Vec<String>) {
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            words.extend(argument.get_long().map(str::to_owned));
        }
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            words.push(verb.get_name().to_owned());
            self::words(verb, words);
        }
    }

    #[test]
    fn every_verb_option_and_key_is_in_each() {
        let mut wanted: Vec<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
        words(&cli::command(), &mut wanted);
        assert!(wanted.len() > 60, "{wanted:?}");
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = text(shell, cli::command()).unwrap();
            for word in &wanted {
                assert!(text.contains(word.as_str()), "{shell}: {word}");
            }
            assert!(!text.contains(UPPERS) && text.contains(ASK), "{shell}");
        }
    }

    #[test]
    fn every_name_of_an_upper_is_asked_for() {
        fn with_names(command: &clap::Command, so_far: &str, found: &mut Vec<String>) {
            for verb in command.get_subcommands() {
                let here = format!("{so_far}{}", verb.get_name());
                let kept =
                    |arg: &clap::Arg| arg.get_help().is_some_and(|help| help.to_string().contains("such as overlay.1"));
                found
                    .extend(verb.get_arguments().filter(|arg| kept(arg)).map(|arg| format!("{here} {}", arg.get_id())));
                with_names(verb, &format!("{here} "), found);
            }
        }
        let mut found = Vec::new();
        with_names(&cli::command(), "", &mut found);
        let mut want: Vec<String> = WITH_UPPER.iter().map(|verb| format!("{verb} upper")).collect();
        want.extend(WITH_NAME.iter().map(|verb| format!("uppers {verb} name")));
        found.sort();
        want.sort();
        assert_eq!(found, want);
    }

    /// What bash offers behind these words, with a program of that name that has two uppers.
    fn offered(words: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("completions");
        std::fs::write(&file, text(Shell::Bash, cli::command()).unwrap()).unwrap();
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let script = format!(
            "overlayctl() {{ printf 'overlay.1\\noverlay.2\\n'; }}\nsource {}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n\
             _overlayctl overlayctl '{}' '{}'\necho \"${{COMPREPLY[@]}}\"",
            file.display(),
            quoted.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2]
        );
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn bash_offers_keys_and_names() {
        assert!(offered(&["overlayctl", "explain", "rd.overlay.st"]).contains("rd.overlay.stale"));
        assert_eq!(offered(&["overlayctl", "uppers", "restore", "ov"]), "overlay.1 overlay.2");
        assert_eq!(offered(&["overlayctl", "diff", "--upper", "overlay.2"]), "overlay.2");
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl completions`: made from the same parser that reads the arguments, so they can't be out of step.

use crate::args;
use crate::exit::Exit;
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::{Shell, generate};

/// For which shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where they are to be read: bash, zsh, fish
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints them.
pub fn run(asked: &Args) -> Result<Exit> {
    print!("{}", String::from_utf8(text(asked.shell)).context("the completions")?);
    Ok(Exit::Good)
}

fn text(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    generate(shell, &mut args::Args::command(), "overlayctl", &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn every_verb_and_option_is_in_each() {
        let mut wanted = Vec::new();
        words(&args::Args::command(), &mut wanted);
        assert!(wanted.len() > 40, "{wanted:?}");
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = String::from_utf8(text(shell)).unwrap();
            for word in &wanted {
                assert!(text.contains(word.as_str()), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn bash_can_read_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("overlayctl");
        std::fs::write(&file, text(Shell::Bash)).unwrap();
        let script = format!("source {} && complete -p overlayctl", file.display());
        let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

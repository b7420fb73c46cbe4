// SPDX-License-Identifier: GPL-2.0-or-later
//! OPTIONS of overlayctl(8) is made of the program's own help.
use super::*;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/man/overlayctl.8");
const BEGIN: &str = ".\\\" Made from the program's own help by: make man\n";
const END: &str = ".\\\" Made until here.\n";

/// OPTIONS of overlayctl(8): what every verb without verbs below it takes.
fn manual() -> String {
    let mut text = section(command().disable_help_flag(true).disable_version_flag(true), "overlayctl COMMAND");
    let mut open: Vec<(String, clap::Command)> = verbs("overlayctl", &command());
    while let Some((name, verb)) = open.pop() {
        if !verb.is_subcommand_required_set() {
            text.push_str(&section(verb.clone().disable_help_flag(true), &name));
        }
        open.extend(verbs(&name, &verb));
    }
    text
}

/// Verbs below a verb, the first last.
fn verbs(of: &str, command: &clap::Command) -> Vec<(String, clap::Command)> {
    let mut found: Vec<_> =
        command.get_subcommands().map(|verb| (format!("{of} {}", verb.get_name()), verb.clone())).collect();
    found.reverse();
    found
}

/// One verb's, as clap_mangen writes them; nothing for one that takes none.
fn section(verb: clap::Command, name: &str) -> String {
    let mut bytes = Vec::new();
    clap_mangen::Man::new(verb).render_options_section(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    // Each section would say anew what an apostrophe is.
    let lines =
        text.lines().filter(|line| !line.starts_with(".ie ") && !line.starts_with(".el ") && !line.starts_with(".SH"));
    let body: String = lines.flat_map(|line| [as_manuals_have_it(line), "\n".to_owned()]).collect();
    if body.trim().is_empty() { String::new() } else { format!(".SS {}\n{body}", name.replace('-', "\\-")) }
}

/// An apostrophe as groff has it, and words to be replaced by their font alone.
fn as_manuals_have_it(line: &str) -> String {
    let line = line.replace("\\*(Aq", "\\(aq");
    line.replace("\\fI<", "\\fI").replace(">\\fR", "\\fR").replace("<\\fI", "\\fI").replace("\\fR>", "\\fR")
}

/// `make man` writes it, CI compares.
#[test]
fn the_options_of_the_manual_are_the_programs() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (has, after) = rest.split_once(END).unwrap();
    let wants = manual();
    if std::env::var_os("OVERLAYROOT_WRITE_MAN").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}{wants}{END}{after}")).unwrap();
        return;
    }
    let differs = has.lines().zip(wants.lines()).find(|(has, wants)| has != wants);
    assert!(has == wants, "make man writes them: {differs:?}");
}

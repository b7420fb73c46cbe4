// SPDX-License-Identifier: GPL-2.0-or-later
//! docs/internals/benchmarks.md by chapters, so that one can be measured without the others.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::host::Host;

pub(super) const PAGE: &str = "docs/internals/benchmarks.md";
const HEADING: &str = "## ";

/// Writes the whole page.
///
/// # Errors
/// Those of writing.
pub(super) fn write(host: &Host, text: &str) -> Result<()> {
    fs::write(host.repo.join(PAGE), text).context(PAGE)
}

/// Puts chapters in the place of those with the same headings; `first` is the first line of each, when and where it was
/// measured.
///
/// # Errors
/// Those of reading and writing; text that is no chapter.
pub(super) fn update(host: &Host, chapters: &str, first: &str) -> Result<()> {
    let page = fs::read_to_string(host.repo.join(PAGE)).context(PAGE)?;
    write(host, &replace(&page, chapters, first)?)
}

/// The page with these chapters, each with a line behind its heading; those which it does not have come last.
fn replace(page: &str, chapters: &str, first: &str) -> Result<String> {
    let (head, mut parts) = split(page);
    let (before, new) = split(chapters);
    ensure!(before.trim().is_empty() && !new.is_empty(), "no chapter: {before:?}");
    for (heading, text) in new {
        let text = format!("{first}{text}");
        match parts.iter_mut().find(|(name, _)| *name == heading) {
            Some((_, old)) => *old = text,
            None => parts.push((heading, text)),
        }
    }
    let parts: Vec<_> = parts.iter().map(|(heading, text)| format!("{HEADING}{heading}\n\n{text}\n")).collect();
    Ok(format!("{head}\n\n{}", parts.join("\n")))
}

/// What is before the first chapter; each chapter's heading and text.
fn split(page: &str) -> (String, Vec<(String, String)>) {
    let (mut head, mut parts) = (String::new(), Vec::<(String, String)>::new());
    for line in page.lines() {
        let text = match (line.strip_prefix(HEADING), parts.last_mut()) {
            (Some(heading), _) => {
                parts.push((heading.to_owned(), String::new()));
                continue;
            }
            (None, Some((_, text))) => text,
            (None, None) => &mut head,
        };
        text.push_str(line);
        text.push('\n');
    }
    let parts = parts.into_iter().map(|(heading, text)| (heading, text.trim().to_owned())).collect();
    (head.trim_end().to_owned(), parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "<!-- x -->\n# Page\n\nWords.\n\n## One\n\n1\n\n### Part\n\n1a\n\n## Two\n\n2\n";

    #[test]
    fn a_chapter_takes_the_place_of_the_one_with_its_heading() {
        let page = replace(OLD, "\n## One\n\nnew\n\n| a |\n", "Today.\n\n").unwrap();
        assert_eq!(page, "<!-- x -->\n# Page\n\nWords.\n\n## One\n\nToday.\n\nnew\n\n| a |\n\n## Two\n\n2\n");
        // the last one, too, and again
        let page = replace(&page, "## Two\n\n3\n", "").unwrap();
        assert!(page.ends_with("| a |\n\n## Two\n\n3\n"), "{page}");
        assert_eq!(replace(&page, "## Two\n\n3\n", "").unwrap(), page);
    }

    #[test]
    fn a_new_chapter_comes_last_and_several_go_in_at_once() {
        let page = replace(OLD, "## Three\n\n3\n\n## Two\n\nnew\n", "").unwrap();
        assert!(page.contains("## One\n\n1\n\n### Part\n\n1a\n\n## Two\n\nnew\n\n## Three\n\n3\n"), "{page}");
        assert!(replace(OLD, "words alone", "").is_err());
        assert!(replace(OLD, "words\n## Two\n", "").is_err());
    }

    #[test]
    fn the_page_itself_stays_as_it_is() {
        let page = std::fs::read_to_string(crate::host::find_repo().unwrap().join(PAGE)).unwrap();
        let (head, parts) = split(&page);
        assert!(head.contains("# Benchmarks") && parts.len() > 3);
        let (heading, text) = parts.last().unwrap();
        assert_eq!(replace(&page, &format!("## {heading}\n\n{text}\n"), "").unwrap(), page);
    }
}

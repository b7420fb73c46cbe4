// SPDX-License-Identifier: GPL-2.0-or-later
//! The commands of docs/guide/diskless.md, run as they are printed.
//!
//! Each block of shell on that page has a line before it: `<!-- test: server WAY... -->`, a block for the server in
//! these ways, or `<!-- test: not: REASON -->`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::server::Server;
use crate::host;

/// The page, below the repository.
pub const PAGE: &str = "docs/guide/diskless.md";

/// A block of shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Line of its fence.
    pub line: usize,
    /// Ways in which the server runs it; empty for one that no test can run.
    pub ways: Vec<String>,
    /// What it says.
    pub text: String,
}

/// All blocks of shell on the page.
///
/// # Errors
/// A block without a mark, a mark without a block, a mark or a language that is not known.
pub fn parse(page: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut mark = None;
    let mut lines = (1..).zip(page.lines());
    while let Some((line, text)) = lines.next() {
        if let Some(text) = text.strip_prefix("<!-- test:") {
            ensure!(mark.is_none(), "line {line}: a second mark");
            mark = Some(ways(text).with_context(|| format!("line {line}: {text}"))?);
            continue;
        }
        let Some(language) = text.strip_prefix("```") else {
            ensure!(mark.is_none(), "line {line}: a mark stands right before its block");
            ensure!(!text.trim_start().starts_with("```"), "line {line}: a fence begins its line");
            continue;
        };
        let content: Vec<&str> = lines.by_ref().map(|(_, text)| text).take_while(|text| *text != "```").collect();
        match (language, mark.take()) {
            ("sh", Some(ways)) => blocks.push(Block { line, ways, text: content.join("\n") + "\n" }),
            ("sh", None) => bail!("line {line}: a block of shell without a mark"),
            ("text", None) => {}
            ("text", Some(_)) => bail!("line {line}: a mark before what is no shell"),
            _ => bail!("line {line}: blocks are sh or text, not {language:?}"),
        }
    }
    ensure!(mark.is_none(), "a mark at the end");
    Ok(blocks)
}

/// What stands behind `<!-- test:`.
fn ways(mark: &str) -> Result<Vec<String>> {
    let mark = mark.strip_suffix("-->").context("the mark has no end")?.trim();
    if let Some(why) = mark.strip_prefix("not:") {
        ensure!(!why.trim().is_empty(), "no reason");
        return Ok(Vec::new());
    }
    let ways = mark.strip_prefix("server ").context("neither `server WAY...` nor `not: REASON`")?;
    Ok(ways.split_whitespace().map(str::to_owned).collect())
}

/// Writes the blocks of a way into a directory, a file each, and gives them back.
///
/// # Errors
/// A page that can't be read, and a way that has no block.
pub fn write(repo: &Path, way: &str, dir: &Path) -> Result<Vec<Block>> {
    let page = fs::read_to_string(repo.join(PAGE)).context(PAGE)?;
    let mut blocks = parse(&page).context(PAGE)?;
    blocks.retain(|block| block.ways.iter().any(|name| name == way));
    ensure!(!blocks.is_empty(), "{PAGE} has no block for {way}");
    fs::create_dir_all(dir)?;
    for block in &blocks {
        fs::write(dir.join(block.file()), &block.text)?;
    }
    Ok(blocks)
}

/// Runs them on the server in order, and then puts `arguments` before the kernel arguments in its menus.
///
/// # Errors
/// The first block that fails, with what it printed.
pub fn follow(server: &Server, blocks: &[Block], arguments: &str) -> Result<()> {
    for block in blocks {
        // -x: the last command of the trace is the one that failed
        let run = server.run(&format!("sh -eux /srv/files/guide/{}", block.file()));
        run.with_context(|| format!("{PAGE}, line {}:\n{}", block.line, host::tail(&block.text, 40)))?;
    }
    server.run(&format!("node_arguments {arguments}")).context("the menus that the guide wrote").map(drop)
}

impl Block {
    fn file(&self) -> String {
        format!("line-{:04}.sh", self.line)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::case::load_all;

    fn page() -> (Vec<Block>, BTreeSet<String>) {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = fs::read_to_string(repo.join(PAGE)).expect(PAGE);
        let cases = load_all(&repo.join("tests/vm/cases")).expect("cases");
        let used = cases.into_iter().filter_map(|case| case.net.and_then(|net| net.guide)).collect();
        (parse(&text).expect(PAGE), used)
    }

    #[test]
    fn each_block_of_the_guide_is_marked_and_those_for_the_server_are_run() {
        let (blocks, used) = page();
        assert!(blocks.len() > 10, "{}", blocks.len());
        for block in &blocks {
            let unused = !block.ways.is_empty() && !block.ways.iter().any(|way| used.contains(way));
            assert!(!unused, "no case runs {PAGE}, line {}: {:?}", block.line, block.ways);
        }
        let ways: BTreeSet<String> = blocks.iter().flat_map(|block| block.ways.clone()).collect();
        assert_eq!(ways, used, "ways of the page, ways of the cases");
    }

    #[test]
    fn each_block_of_the_guide_is_shell() {
        for block in page().0 {
            let mut shell = std::process::Command::new("sh");
            let output = shell.args(["-n", "-c", &block.text]).output().expect("sh");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{PAGE}, line {}: {said}", block.line);
        }
    }

    #[test]
    fn marks_and_blocks() {
        let page =
            "a\n<!-- test: server nfs http -->\n```sh\nb\n```\n```text\nc\n```\n<!-- test: not: far -->\n```sh\n```\n";
        let block = |line, ways: &[&str], text: &str| Block {
            line,
            ways: ways.iter().map(|way| (*way).to_owned()).collect(),
            text: text.to_owned(),
        };
        assert_eq!(parse(page).unwrap(), [block(3, &["nfs", "http"], "b\n"), block(10, &[], "\n")]);
        let bad = [
            "```sh\n```",
            "<!-- test: server a -->\n\n```sh\n```",
            "<!-- test: server a -->",
            "<!-- test: server a -->\n```text\n```",
            "<!-- test: not: -->\n```sh\n```",
            "<!-- test: nfs -->\n```sh\n```",
            "<!-- test: server a\n```sh\n```",
            "```bash\n```",
            "  ```sh\n  ```",
        ];
        for text in bad {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

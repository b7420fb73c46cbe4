// SPDX-License-Identifier: GPL-2.0-or-later
//! A recording as SVG: a page for each question, its lines at their times, long waits cut short. The same rows give
//! the same bytes. Without animation, or where less motion is preferred, the last page is seen.

use std::fmt::Write as _;

use super::screen::{Row, Style};

const COLUMNS: usize = 80;
/// Pixels of a character, of a line, and around all.
const WIDTH: f32 = 8.4;
const HEIGHT: usize = 19;
const MARGIN: usize = 18;
/// Milliseconds: no wait is longer in the recording.
const WAIT: u64 = 1200;
/// Before a command, or a remark about it.
const TYPED: u64 = 700;
/// Less than this apart, lines come together.
const TOGETHER: u64 = 60;
/// To read a page, and each line of it.
const READ: (u64, u64) = (1200, 220);
/// To look at the last.
const LAST: u64 = 7000;

const STYLE: &str = "\
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre;fill:#1f2328}
.b{fill:#f6f8fa;stroke:#d1d9e0}.n{fill:#59636e}.c{fill:#0550ae}.t,.r{font-weight:bold}.r{fill:#1a7f37}.p{opacity:0}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.b{fill:#0d1117;stroke:#3d444d}.n{fill:#9198a1}.c{fill:#79c0ff}\
.r{fill:#7ee787}}
@media(prefers-reduced-motion:reduce){g{animation:none!important}}
";

/// Lines that appear together.
struct Batch<'a> {
    at: u64,
    /// With their places on the page.
    lines: Vec<(usize, Style, &'a str)>,
}

struct Page<'a> {
    begin: u64,
    /// Of the next page.
    end: u64,
    height: usize,
    /// An empty line before the next: none at the top, and none at the end.
    gap: bool,
    batches: Vec<Batch<'a>>,
}

/// Draws the rows.
pub(super) fn draw(rows: &[Row]) -> String {
    let pages = pages(rows);
    let whole = pages.last().map_or(1, |page| page.end).max(1);
    let lines = pages.iter().map(|page| page.height).max().unwrap_or(0);
    let width = (COLUMNS as f32 * WIDTH) as usize + 2 * MARGIN;
    let height = lines * HEIGHT + 2 * MARGIN;
    let (mut css, mut body) = (STYLE.to_owned(), String::new());
    let mut number = 0;
    for (index, page) in pages.iter().enumerate() {
        let last = index + 1 == pages.len();
        let (from, to) = (percent(page.begin, whole), percent(page.end, whole));
        let first = if page.begin == 0 { String::new() } else { "0%{opacity:0}".to_owned() };
        let gone = if last { String::new() } else { format!("{to}{{opacity:0}}") };
        let shown = if last { "opacity:1;" } else { "" };
        push(&mut css, &format!("#p{index}{{{shown}animation:p{index} {whole}ms step-end infinite}}"));
        push(&mut css, &format!("@keyframes p{index}{{{first}{from}{{opacity:1}}{gone}}}\n"));
        push(&mut body, &format!("<g id=\"p{index}\" class=\"p\">\n"));
        for batch in &page.batches {
            let timed = batch.at > page.begin;
            if timed {
                let at = percent(batch.at, whole);
                push(&mut css, &format!("#r{number}{{animation:r{number} {whole}ms step-end infinite}}"));
                push(&mut css, &format!("@keyframes r{number}{{0%{{opacity:0}}{at}{{opacity:1}}}}\n"));
                push(&mut body, &format!("<g id=\"r{number}\">\n"));
                number += 1;
            }
            batch.lines.iter().for_each(|line| push(&mut body, &text(line)));
            push(&mut body, if timed { "</g>\n" } else { "" });
        }
        push(&mut body, "</g>\n");
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title desc\">\n\
         <title id=\"title\">overlayroot-rs: make demo</title>\n<desc id=\"desc\">{}</desc>\n<style>\n{css}</style>\n\
         <rect class=\"b\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n{body}</svg>\n",
        escape(&questions(rows)),
        width - 1,
        height - 1
    )
}

fn push(to: &mut String, text: &str) {
    // a String takes everything
    let _ = to.write_str(text);
}

fn questions(rows: &[Row]) -> String {
    let titles: Vec<_> = rows.iter().filter(|row| row.style == Style::Title).map(|row| row.text.as_str()).collect();
    format!("A terminal, waits cut short. Its pages: {}", titles.join(" "))
}

fn text(&(place, style, text): &(usize, Style, &str)) -> String {
    let class = match style {
        Style::Title => " class=\"t\"",
        Style::Note => " class=\"n\"",
        Style::Command => " class=\"c\"",
        Style::Output => "",
        Style::Result => " class=\"r\"",
    };
    let length = text.chars().count() as f32 * WIDTH;
    // the length holds the columns in every font
    format!(
        "<text x=\"{MARGIN}\" y=\"{}\" textLength=\"{length:.1}\" xml:space=\"preserve\"{class}>{}</text>\n",
        MARGIN + 14 + place * HEIGHT,
        escape(text)
    )
}

/// Text in XML, without what it can't have.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in crate::watch::plain(text).chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

fn percent(at: u64, whole: u64) -> String {
    format!("{:.3}%", at as f64 * 100.0 / whole as f64)
}

/// Puts rows on pages, and each at its time in the recording.
fn pages(rows: &[Row]) -> Vec<Page<'_>> {
    let mut pages: Vec<Page<'_>> = Vec::new();
    let (mut now, mut before) = (0, 0);
    for row in rows {
        let at = u64::try_from(row.at.as_millis()).unwrap_or(u64::MAX);
        let gap = at.saturating_sub(before);
        before = at;
        if row.style == Style::Title || pages.is_empty() {
            if let Some(page) = pages.last_mut() {
                now += READ.0 + READ.1 * page.height as u64;
                page.end = now;
            }
            pages.push(Page { begin: now, end: now, height: 0, gap: false, batches: Vec::new() });
        } else if !row.text.is_empty() {
            now += paused(row, gap);
        }
        if let Some(page) = pages.last_mut() {
            page.add(now, row);
        }
    }
    if let Some(page) = pages.last_mut() {
        page.end = now + LAST;
    }
    pages
}

fn paused(row: &Row, gap: u64) -> u64 {
    let typed = row.style == Style::Command || (row.style == Style::Note && row.text.starts_with('#'));
    let least = if typed { TYPED } else { 0 };
    let gap = if gap < TOGETHER { 0 } else { gap };
    gap.clamp(least, WAIT)
}

impl<'a> Page<'a> {
    fn add(&mut self, now: u64, row: &'a Row) {
        if row.text.is_empty() {
            self.gap = self.height > 0;
            return;
        }
        self.height += usize::from(std::mem::take(&mut self.gap));
        if self.batches.last().is_none_or(|batch| batch.at != now) {
            self.batches.push(Batch { at: now, lines: Vec::new() });
        }
        let mut rest = row.text.as_str();
        while !rest.is_empty() {
            let cut = rest.char_indices().nth(COLUMNS).map_or(rest.len(), |(at, _)| at);
            let (line, behind) = rest.split_at(cut);
            if let Some(batch) = self.batches.last_mut() {
                batch.lines.push((self.height, row.style, line));
            }
            self.height += 1;
            rest = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(at: u64, style: Style, text: &str) -> Row {
        Row { at: Duration::from_millis(at), style, text: text.to_owned() }
    }

    fn rows() -> Vec<Row> {
        vec![
            row(0, Style::Note, "before"),
            row(10, Style::Title, "What is it?"),
            row(9000, Style::Note, "Up"),
            row(9010, Style::Command, "$ echo 'a' <b >c & d"),
            row(9011, Style::Output, "\x1b[31mred\x1b[0m \"x\"\u{7}"),
            row(9012, Style::Output, &"y".repeat(COLUMNS + 3)),
            row(9500, Style::Title, "And then?"),
            row(9600, Style::Result, "done"),
        ]
    }

    #[test]
    fn text_is_escaped_and_colours_are_dropped() {
        let svg = draw(&rows());
        assert!(svg.contains(">$ echo 'a' &lt;b &gt;c &amp; d</text>"), "{svg}");
        assert!(svg.contains(">red &quot;x&quot;</text>"), "{svg}");
        assert!(!svg.contains('\x1b') && !svg.contains('\u{7}') && !svg.contains("<script"), "{svg}");
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    }

    #[test]
    fn the_same_rows_are_the_same_bytes() {
        assert_eq!(draw(&rows()), draw(&rows()));
        assert!(draw(&[]).ends_with("</svg>\n"));
    }

    #[test]
    fn waits_are_short_and_pages_long_enough() {
        let rows = rows();
        let pages = pages(&rows);
        let begins: Vec<_> = pages.iter().map(|page| page.begin).collect();
        // one line to read; then the wait of 9 s, a command, and six lines to read
        assert_eq!(begins, [0, 1420, 1420 + WAIT + TYPED + 1200 + 6 * 220]);
        assert_eq!(pages.last().map(|page| page.end - page.begin), Some(100 + LAST));
        let long = pages.iter().flat_map(|page| &page.batches).flat_map(|batch| &batch.lines);
        assert!(long.clone().all(|(_, _, text)| text.chars().count() <= COLUMNS));
        assert_eq!(long.filter(|(_, _, text)| text.contains('y')).count(), 2);
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads as much shell as the dracut module uses: which commands are run, which variables read, which set. What it
//! does not understand is an error, so that nothing is passed over.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

/// What a script uses.
#[derive(Debug, Default)]
pub struct Script {
    pub commands: BTreeSet<String>,
    pub functions: BTreeSet<String>,
    pub assigned: BTreeSet<String>,
    /// A variable, and whether the place that reads it has a default for it.
    pub variables: BTreeSet<(String, bool)>,
}

/// Words behind which the next one is a command, too.
const OPENERS: [&str; 13] = ["!", "{", "}", "if", "then", "else", "elif", "fi", "while", "until", "do", "done", "esac"];

/// What the next word is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Command,
    Argument,
    /// Of `local`: names of variables.
    Name,
    /// Of `[[`: neither `&&` nor `(` begins a command there.
    Test,
    /// The name behind `for`.
    Each,
    /// The word of a `case`.
    Subject,
    /// A pattern of a `case`.
    Pattern,
}

/// # Errors
/// What the reader does not understand.
pub fn read(text: &str) -> Result<Script, String> {
    // a line that goes on in the next one
    let text = text.replace("\\\n", " ");
    let mut reader = Reader { rest: text.chars().peekable(), script: Script::default() };
    reader.list(false)?;
    Ok(reader.script)
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    script: Script,
}

impl Reader<'_> {
    /// Commands up to the end, or up to the `)` of a substitution.
    fn list(&mut self, substitution: bool) -> Result<(), String> {
        let mut next = Next::Command;
        let mut cases = 0_u32;
        while let Some(&c) = self.rest.peek() {
            match c {
                '#' => while self.rest.next_if(|&c| c != '\n').is_some() {},
                ' ' | '\t' => drop(self.rest.next()),
                _ if next == Next::Test && "&|()<>;\n".contains(c) => drop(self.rest.next()),
                '|' if next == Next::Pattern => drop(self.rest.next()),
                '\n' if next == Next::Pattern => drop(self.rest.next()),
                ')' => {
                    self.rest.next();
                    match next {
                        Next::Pattern => next = Next::Command,
                        _ if substitution => return Ok(()),
                        Next::Command | Next::Argument | Next::Name | Next::Test | Next::Each | Next::Subject => {
                            next = Next::Command
                        }
                    }
                }
                ';' => {
                    self.rest.next();
                    let ends_case = self.rest.next_if_eq(&';').is_some() && cases > 0;
                    next = if ends_case { Next::Pattern } else { Next::Command };
                }
                '&' | '|' | '(' | '\n' => {
                    self.rest.next();
                    next = Next::Command;
                }
                '<' | '>' => next = self.redirection(next)?,
                _ => next = self.step(next, &mut cases)?,
            }
        }
        if substitution { Err("a $( is not closed".to_owned()) } else { Ok(()) }
    }

    fn redirection(&mut self, next: Next) -> Result<Next, String> {
        let direction = self.rest.next();
        if direction == Some('<') && self.rest.peek() == Some(&'<') {
            return Err("a here-document or here-string: not understood".to_owned());
        }
        while self.rest.next_if(|&c| "<>&| ".contains(c)).is_some() {}
        self.word()?;
        Ok(next)
    }

    /// One word, and what follows it.
    fn step(&mut self, next: Next, cases: &mut u32) -> Result<Next, String> {
        let word = self.word()?;
        Ok(match next {
            Next::Argument => Next::Argument,
            Next::Test if word == "]]" => Next::Argument,
            Next::Test => Next::Test,
            Next::Each => {
                self.script.assigned.insert(word);
                Next::Argument
            }
            Next::Subject if word == "in" => Next::Pattern,
            Next::Subject => Next::Subject,
            Next::Pattern if word == "esac" => {
                *cases = cases.saturating_sub(1);
                Next::Command
            }
            Next::Pattern => Next::Pattern,
            Next::Name => {
                self.assignment(&word);
                Next::Name
            }
            Next::Command => self.command(&word, cases),
        })
    }

    fn command(&mut self, word: &str, cases: &mut u32) -> Next {
        if word == "esac" {
            *cases = cases.saturating_sub(1);
        }
        if OPENERS.contains(&word) || self.rest.peek() != Some(&'(') && word.contains('=') && self.assignment(word) {
            return Next::Command;
        }
        match word {
            "for" => return Next::Each,
            "case" => {
                *cases += 1;
                return Next::Subject;
            }
            // a variable is the command: it is among the variables
            _ if word.starts_with('$') => return Next::Argument,
            _ => {}
        }
        if self.rest.next_if_eq(&'(').is_some() {
            self.rest.next_if_eq(&')');
            self.script.functions.insert(word.to_owned());
            return Next::Command;
        }
        self.script.commands.insert(word.to_owned());
        match word {
            "local" => Next::Name,
            "[[" => Next::Test,
            _ => Next::Argument,
        }
    }

    /// Notes `name`, `name=value` or `name+=value`.
    fn assignment(&mut self, word: &str) -> bool {
        let name = word.split('=').next().unwrap_or_default();
        let name = name.strip_suffix('+').unwrap_or(name);
        let fits = !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        if fits {
            self.script.assigned.insert(name.to_owned());
        }
        fits
    }

    /// A word as it stands, quotes taken off; what is expanded in it is a single `$`.
    fn word(&mut self) -> Result<String, String> {
        let mut out = String::new();
        while let Some(&c) = self.rest.peek() {
            match c {
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\'' => {
                    self.rest.next();
                    out.push_str(&self.until('\'')?);
                }
                '"' => {
                    self.rest.next();
                    self.quoted(&mut out)?;
                }
                '\\' => {
                    self.rest.next();
                    out.extend(self.rest.next());
                }
                '`' => return Err("a backtick: not understood, use $()".to_owned()),
                '$' => {
                    out.push('$');
                    self.expansion()?;
                }
                _ => out.extend(self.rest.next()),
            }
        }
        Ok(out)
    }

    fn until(&mut self, end: char) -> Result<String, String> {
        let mut out = String::new();
        for c in self.rest.by_ref() {
            if c == end {
                return Ok(out);
            }
            out.push(c);
        }
        Err(format!("a {end} is not closed"))
    }

    fn quoted(&mut self, out: &mut String) -> Result<(), String> {
        while let Some(&c) = self.rest.peek() {
            match c {
                '$' => {
                    out.push('$');
                    self.expansion()?;
                    continue;
                }
                '\\' => drop(self.rest.next()),
                '`' => return Err("a backtick: not understood, use $()".to_owned()),
                _ => {}
            }
            match self.rest.next() {
                Some('"') if c == '"' => return Ok(()),
                more => out.extend(more),
            }
        }
        Err("a \" is not closed".to_owned())
    }

    fn expansion(&mut self) -> Result<(), String> {
        self.rest.next();
        if self.rest.next_if_eq(&'(').is_some() {
            if self.rest.peek() == Some(&'(') {
                return Err("arithmetic: not understood".to_owned());
            }
            return self.list(true);
        }
        let braces = self.rest.next_if_eq(&'{').is_some();
        if braces {
            self.rest.next_if_eq(&'#');
        }
        let mut name = String::new();
        while let Some(c) = self.rest.next_if(|&c| c == '_' || c.is_ascii_alphanumeric()) {
            name.push(c);
        }
        if name.is_empty() && !braces {
            // $? and its like
            self.rest.next_if(|&c| "?#@*!$-".contains(c));
            return Ok(());
        }
        if braces {
            self.rest.next_if_eq(&':');
        }
        let has_default = braces && self.rest.peek().is_some_and(|c| "-+".contains(*c));
        if !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() {
            self.script.variables.insert((name, has_default));
        }
        if braces { self.braces() } else { Ok(()) }
    }

    /// The rest of `${name…}`, in which more may be expanded.
    fn braces(&mut self) -> Result<(), String> {
        while let Some(&c) = self.rest.peek() {
            if c == '$' {
                self.expansion()?;
                continue;
            }
            self.rest.next();
            if c == '}' {
                return Ok(());
            }
        }
        Err("a ${ is not closed".to_owned())
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! How every verb ends: the one list of exit statuses, and what is an error of which.

use std::fmt;
use std::process::ExitCode;

/// How a verb ended. Each number means the same whatever the verb, but for what the command of `shell` says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Yes, or done.
    Good,
    /// No: not as it should be, not known, or refused before anything was changed.
    No,
    /// As [`Exit::No`], and the machine is or will be without what is asked for.
    Critical,
    /// Tried, and failed; of `status` also that nothing is known.
    Failed,
    /// Not a command line of this program.
    Usage,
    /// `shell`: refused or failed, for the rest belongs to its command (as chroot(1) and env(1) have it).
    NotOpened,
    /// `shell`: the command can't be run.
    NotRun,
    /// `shell`: the command is not there.
    NotFound,
    /// Who read the output went away: 128 and the number of SIGPIPE, as a shell says it.
    Unread,
    /// Ended by this signal: 128 and its number.
    Signal(u8),
    /// What the command of `shell` ended with.
    Command(u8),
}

impl Exit {
    /// Every status that is a number of its own, as EXIT STATUS of overlayctl(8) lists them.
    #[cfg(test)]
    pub const ALL: [Self; 9] = [
        Self::Good,
        Self::No,
        Self::Critical,
        Self::Failed,
        Self::Usage,
        Self::NotOpened,
        Self::NotRun,
        Self::NotFound,
        Self::Unread,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::No => 1,
            Self::Critical => 2,
            Self::Failed => 3,
            Self::Usage => 64,
            Self::NotOpened => 125,
            Self::NotRun => 126,
            Self::NotFound => 127,
            Self::Unread => 141,
            Self::Signal(number) => 128_u8.saturating_add(number),
            Self::Command(code) => code,
        }
    }

    /// Ends the program.
    pub fn now(self) -> ! {
        std::process::exit(self.code().into())
    }

    /// That of an error: [`Refused`] is no failure.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<Refused>() { Self::No } else { Self::Failed }
    }
}

impl From<bool> for Exit {
    /// Yes or no.
    fn from(yes: bool) -> Self {
        if yes { Self::Good } else { Self::No }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// What is asked for can't be done as things are, and nothing was changed.
#[derive(Debug)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Says why not.
pub fn refuse(why: &str) -> anyhow::Result<Exit> {
    eprintln!("overlayctl: {why}");
    Ok(Exit::No)
}

/// The same as an error, for what is found out further down.
pub fn refused(why: impl Into<String>) -> anyhow::Error {
    Refused(why.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn no_two_have_a_number_and_the_manual_has_each() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/man/overlayctl.8"))
                .unwrap();
        let (_, table) = page.split_once(".SH EXIT STATUS").unwrap();
        let (table, _) = table.split_once("\n.SH ").unwrap();
        let heads = |line: &&str| line.strip_prefix(".B ").is_some_and(|code| code.parse::<u8>().is_ok());
        let heads: Vec<&str> = table.lines().filter(heads).collect();
        let all: Vec<String> = Exit::ALL.iter().map(|exit| format!(".B {}", exit.code())).collect();
        assert_eq!(heads, all);
    }

    #[test]
    fn what_is_refused_is_no_failure_however_deep() {
        let deep = Err::<(), _>(refused("no")).context("looking").context("asking").unwrap_err();
        assert_eq!((Exit::of(&deep), Exit::of(&anyhow::anyhow!("x"))), (Exit::No, Exit::Failed));
        assert_eq!(Exit::Signal(2).code(), 130);
    }
}

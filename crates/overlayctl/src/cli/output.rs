// SPDX-License-Identifier: GPL-2.0-or-later
//! Which verbs only print: who may end when nobody reads on, and whose text may go through a pager.

use crate::cli::Command;
use crate::commands::loopfile::Loop;

/// What a verb has to do with its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// It does something: it goes on where nobody reads on.
    Beside,
    /// It only prints, a little or for machines.
    Short,
    /// It only prints, and that may be longer than a terminal.
    Long,
}

impl Output {
    /// Whether nothing is changed, so that it may end where nobody reads on.
    pub fn only_tells(self) -> bool {
        self != Self::Beside
    }

    fn of(json: bool) -> Self {
        if json { Self::Short } else { Self::Long }
    }
}

impl Command {
    /// Of this verb.
    pub fn output(&self) -> Output {
        match self {
            Self::Keys => Output::Long,
            Self::Plan { json, .. } | Self::Stale { json, what: None, .. } => Output::of(*json),
            Self::Explain(asked) => Output::of(asked.json),
            Self::Config(asked) => Output::of(asked.json),
            Self::Diff(asked) => Output::of(asked.json),
            Self::Commit(asked) if asked.only_tells() => Output::Long,
            Self::Thaw(asked) if asked.only_tells() => Output::Short,
            Self::Status { .. }
            | Self::Check { .. }
            | Self::Doctor { .. }
            | Self::Uppers { what: None, .. }
            | Self::IsEnabled(_)
            | Self::Completions(_)
            | Self::Du(_)
            | Self::Loop { verb: Loop::Check { .. } } => Output::Short,
            Self::Loop { .. }
            | Self::Uppers { .. }
            | Self::Stale { .. }
            | Self::Reset { .. }
            | Self::Commit(_)
            | Self::Revert(_)
            | Self::Top(_)
            | Self::Pull { .. }
            | Self::Label
            | Self::Good
            | Self::Keep(_)
            | Self::Enable(_)
            | Self::Disable(_)
            | Self::Migrate(_)
            | Self::Image { .. }
            | Self::Resize(_)
            | Self::Watch(_)
            | Self::Shell(_)
            | Self::Thaw(_)
            | Self::Thawed
            | Self::Kernel
            | Self::Trash { .. }
            | Self::Trim => Output::Beside,
        }
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! Which verbs only print: who may end when nobody reads on, and whose text may go through a pager.

use crate::args::{Command, Loop};

impl Command {
    /// Whether it changes nothing, so that it may end where nobody reads on.
    pub fn only_tells(&self) -> bool {
        match self {
            Self::Status { .. } | Self::Check { .. } | Self::Plan { .. } | Self::Keys | Self::Doctor { .. } => true,
            Self::Uppers { what, .. } => what.is_none(),
            Self::Stale { what, .. } => what.is_none(),
            Self::IsEnabled(_)
            | Self::Explain(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Diff(_)
            | Self::Du(_) => true,
            Self::Loop { verb } => matches!(verb, Loop::Check { .. }),
            Self::Reset { .. }
            | Self::Top(_)
            | Self::Pull { .. }
            | Self::Label
            | Self::Keep(_)
            | Self::Enable(_)
            | Self::Disable(_)
            | Self::Migrate(_)
            | Self::Image { .. }
            | Self::Resize(_)
            | Self::Watch(_)
            | Self::Shell(_)
            | Self::Trash { .. }
            | Self::Trim => false,
        }
    }

    /// Whether its text may be longer than a terminal. What is for machines is not for a pager.
    pub fn may_be_long(&self) -> bool {
        match self {
            Self::Keys => true,
            Self::Plan { json, .. } | Self::Stale { json, what: None, .. } => !json,
            Self::Explain(asked) => !asked.json,
            Self::Config(asked) => !asked.json,
            Self::Diff(asked) => !asked.json,
            Self::Reset { .. }
            | Self::Top(_)
            | Self::Pull { .. }
            | Self::Label
            | Self::Keep(_)
            | Self::Enable(_)
            | Self::Disable(_)
            | Self::Migrate(_)
            | Self::Image { .. }
            | Self::Resize(_)
            | Self::Watch(_)
            | Self::Shell(_)
            | Self::Trash { .. }
            | Self::Trim
            | Self::Status { .. }
            | Self::Check { .. }
            | Self::Loop { .. }
            | Self::Uppers { .. }
            | Self::Stale { .. }
            | Self::Du(_)
            | Self::Doctor { .. }
            | Self::IsEnabled(_)
            | Self::Completions(_) => false,
        }
    }
}

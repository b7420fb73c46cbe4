// SPDX-License-Identifier: GPL-2.0-or-later
//! The comparison of a kept upper's lower with the present one.

use crate::config::Config;
use crate::facts::Root;
use crate::feature::stale::Compare;
use crate::layout::paths;
use crate::upper::request::{Access, Kept};

/// What the comparison is to look at.
pub(crate) fn compare(config: &Config, root: &Root, kept: &Kept, hidden: Option<String>) -> Compare {
    Compare {
        store: kept.store.clone(),
        lower: paths::SYSROOT.to_owned(),
        now: root.fingerprint.clone(),
        policy: config.stale.value,
        readonly: kept.access == Access::Layer,
        hidden,
    }
}

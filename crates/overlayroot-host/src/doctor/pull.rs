// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the booted system can pull what `rd.overlay.git` asks for. That the server has it is not asked.

use crate::doctor::{Finding, Grade, Host, finding};
use overlayroot_core::config::Config;

/// `overlay`: one is asked for.
pub(crate) fn examine(config: &Config, overlay: bool, host: &Host, found: &mut Vec<Finding>) {
    match overlayroot_core::plan::git::asked(config) {
        Ok(None) => {}
        Err(mistake) => {
            let text = format!("nothing is pulled: {mistake}");
            found.push(finding("pull", Grade::Problem, text, "correct it"));
        }
        Ok(Some(_)) if !overlay => {
            let text = "rd.overlay.git is set, and no overlay is requested: nothing is pulled on a plain root";
            found.push(finding("pull", Grade::Warning, text, "configure an overlay, too"));
        }
        Ok(Some(asked)) if host.lacking.is_empty() => {
            found.push(finding("pull", Grade::Ok, format!("pulls {}", asked.git), ""));
        }
        Ok(Some(asked)) => {
            let text = format!("pulls {}, but this root lacks {}", asked.git, host.lacking.join(", "));
            found.push(finding("pull", Grade::Problem, text, "install it in the root").in_root());
        }
    }
}

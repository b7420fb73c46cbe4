// SPDX-License-Identifier: GPL-2.0-or-later
//! What makes less of an overlay than was asked for.

use super::NextBoot;
use overlayroot_core::plan::Decision;

impl NextBoot {
    /// What has the initramfs record an overlay as degraded, whatever the devices.
    pub(super) fn blemish(&self) -> Option<String> {
        let lacks = match &self.decision {
            Some(Decision::Do(plan)) => plan.without.first(),
            Some(Decision::Off | Decision::NotYet | Decision::Instead(..)) | None => None,
        };
        let refused = self.config.upper.value.refused().map(|refusal| refusal.text);
        let issue = self.config.issues.first().map(ToString::to_string);
        refused.or(issue).or_else(|| lacks.map(|lack| lack.text.clone()))
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! Single paths with a policy, and what lies on them.
#![allow(missing_docs)]

mod paths;
mod stores;

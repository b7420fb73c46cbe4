// SPDX-License-Identifier: GPL-2.0-or-later
//! The boot around the upper: what it begins with, what it is called, and what can't be had.
#![allow(missing_docs)]

mod cache;
mod failures;
mod hostile;
mod identity;
mod inside;
mod labels;
mod live;
mod lost;
mod odd_roots;
mod outsiders;
mod populate;
mod populate_fetch;
mod populate_once;
mod populate_refused;
mod stock;

// SPDX-License-Identifier: GPL-2.0-or-later
//! Boot tests of overlayroot-rs: roots, initramfs images and disks are made on
//! the host, booted in QEMU, and judged by an agent inside the guest.
//!
//! [`images`] makes what a guest boots from, [`machine`] boots it once,
//! [`runner`] runs a case (which may be several boots over the same disks).

pub mod bench;
pub mod case;
pub mod cell;
pub mod content;
pub mod cpio;
pub mod demo;
pub mod differential;
pub mod disk;
pub mod disk_spec;
pub mod engine;
pub mod engines;
pub mod fsimage;
pub mod host;
pub mod images;
pub mod journal;
pub mod machine;
mod mconsole;
pub mod net;
pub mod own_kernel;
pub mod parted;
pub mod payload;
pub mod plan;
pub mod powercut;
mod processor;
mod progress;
mod qemu;
pub mod qmp;
pub mod ram;
mod recipe;
pub mod report;
mod root_kind;
pub mod roots;
pub mod runner;
pub mod selftest;
pub mod tables;
pub mod uml;
mod watch;

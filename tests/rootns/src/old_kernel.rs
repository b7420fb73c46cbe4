// SPDX-License-Identifier: GPL-2.0-or-later
//! The calls of Linux 4.18, and none that came later.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use std::collections::BTreeMap;
use std::env::consts::ARCH;

/// pidfd_send_signal (5.1), from which on the numbers are the same on every processor.
const FIRST: i64 = 424;
/// Beyond what any kernel has.
const LAST: i64 = 600;
/// Its commands are the second argument.
#[cfg(target_arch = "x86_64")]
const IOCTL: i64 = 16;
#[cfg(not(target_arch = "x86_64"))]
const IOCTL: i64 = 29;
/// LOOP_CONFIGURE (5.8).
const LOOP_CONFIGURE: u64 = 0x4c0a;
/// What the kernel says to a call and to a command that it does not know.
const ENOSYS: u32 = 38;
const EINVAL: u32 = 22;

/// Makes the kernel refuse this thread, and what it starts, all that Linux 4.18 did not have: new system calls, and
/// the newer way to set up a loop device. Can't be taken back.
pub fn pretend() {
    let calls = (FIRST..=LAST).map(|call| (call, Vec::new())).collect();
    refuse(calls, ENOSYS);
    let command = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, LOOP_CONFIGURE);
    let rule = SeccompRule::new(vec![command.expect("a condition")]).expect("a rule");
    refuse(BTreeMap::from([(IOCTL, vec![rule])]), EINVAL);
}

fn refuse(calls: BTreeMap<i64, Vec<SeccompRule>>, errno: u32) {
    let arch = ARCH.try_into().expect("a processor that seccompiler knows");
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, SeccompAction::Errno(errno), arch);
    let program: BpfProgram = filter.expect("a filter").try_into().expect("a program");
    apply_filter(&program).expect("installing it");
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! Asks the loaded SELinux policy, through selinuxfs (kernel: security/selinux/selinuxfs.c).
//!
//! An overlay is mounted before the policy is loaded, so its mounter has the policy's context for processes of that
//! time. Linux up to 6.1 (measured) checks whoever maps a file of an overlay against that context: `fd use`. A policy
//! that does not allow it to a domain keeps the domain from loading its libraries.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// Where selinuxfs is mounted.
const SELINUXFS: &str = "/sys/fs/selinux";

/// Contexts of running processes that may not use what the mounter of a root overlay opened, and the mounter's
/// context. Empty where no policy is loaded.
///
/// # Errors
/// Where selinuxfs can't be read or asked: that takes root, and a policy that lets it ask.
pub fn denied_domains() -> Result<(String, BTreeSet<String>)> {
    let top = Path::new(SELINUXFS);
    let read = |name: &str| {
        let path = top.join(name);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    if !top.join("enforce").exists() {
        return Ok(Default::default());
    }
    // policies with this capability tell the processes before the load from the kernel's own (Linux 6.8)
    let own = read("policy_capabilities/userspace_initial_context").is_ok_and(|is| is.trim() == "1");
    let mounter = read(if own { "initial_contexts/init" } else { "initial_contexts/kernel" })?;
    let mounter = mounter.trim_end_matches(['\0', '\n']).to_owned();
    let class = read("class/fd/index")?;
    let bit = read("class/fd/perms/use")?.trim().parse::<u32>().context("class/fd/perms/use")?.saturating_sub(1);
    let mut denied = BTreeSet::new();
    for domain in domains() {
        let allowed = ask(top, &format!("{domain} {mounter} {}", class.trim()))?;
        if domain != mounter && allowed.checked_shr(bit).unwrap_or(0) & 1 == 0 {
            denied.insert(domain);
        }
    }
    Ok((mounter, denied))
}

/// Contexts of the processes there are.
fn domains() -> BTreeSet<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let contexts = numbers.filter_map(|entry| fs::read_to_string(entry.path().join("attr/current")).ok());
    contexts.map(|context| context.trim_end_matches(['\0', '\n']).to_owned()).filter(|one| !one.is_empty()).collect()
}

/// What is allowed: a bit for each permission of the class.
fn ask(top: &Path, question: &str) -> Result<u32> {
    let context = || format!("asking the policy about {question}");
    let mut access = OpenOptions::new().read(true).write(true).open(top.join("access")).with_context(context)?;
    access.write_all(question.as_bytes()).with_context(context)?;
    let mut answer = String::new();
    access.read_to_string(&mut answer).with_context(context)?;
    let first = answer.split_whitespace().next().unwrap_or_default();
    u32::from_str_radix(first, 16).with_context(context)
}

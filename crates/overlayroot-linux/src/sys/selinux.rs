// SPDX-License-Identifier: GPL-2.0-or-later
//! Asks the loaded SELinux policy, through selinuxfs (kernel: security/selinux/selinuxfs.c).
//!
//! An overlay is mounted before the policy is loaded, so its mounter has the policy's context for processes of that
//! time. Linux up to 6.1 (measured) checks whoever maps a file of an overlay against that context: `fd use`. A policy
//! that does not allow it to a domain keeps the domain from loading its libraries.

use crate::sys::files;
use anyhow::{Context, Result};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// Where selinuxfs is mounted.
const SELINUXFS: &str = "/sys/fs/selinux";
/// Type of Fedora's policy for systemd-gpt-auto-generator.
const GENERATOR: &str = "systemd_gpt_generator_t";
/// And for links in `/run/systemd`.
const LINK: &str = "init_var_run_t";

/// Whether a policy is loaded.
pub fn is_loaded() -> bool {
    Path::new(SELINUXFS).join("enforce").exists()
}

/// Contexts of running processes that may not use what the mounter of a root overlay opened, and the mounter's
/// context. Empty where no policy is loaded.
///
/// # Errors
/// Where selinuxfs can't be read or asked: that takes root, and a policy that lets it ask.
pub fn denied_domains() -> Result<(String, BTreeSet<String>)> {
    if !is_loaded() {
        return Ok(Default::default());
    }
    // policies with this capability tell the processes before the load from the kernel's own (Linux 6.8)
    let own = read("policy_capabilities/userspace_initial_context").is_ok_and(|is| is.trim() == "1");
    let mounter = read(if own { "initial_contexts/init" } else { "initial_contexts/kernel" })?;
    let mounter = mounter.trim_end_matches(['\0', '\n']).to_owned();
    let using = Right::of("fd", "use")?;
    let mut denied = BTreeSet::new();
    for domain in domains() {
        if domain != mounter && using.asked(&domain, &mounter)? == Some(false) {
            denied.insert(domain);
        }
    }
    Ok((mounter, denied))
}

/// Whether systemd-gpt-auto-generator may read a link in `/run/systemd`, as a boot of ours leaves one there; nothing
/// where the policy has no domain for it, or none is loaded.
///
/// # Errors
/// As [`denied_domains`].
pub fn generator_may_read() -> Result<Option<bool>> {
    if !is_loaded() {
        return Ok(None);
    }
    let first = files::ask_kernel("/proc/1/attr/current").context("reading the context of PID 1")?;
    let first = first.trim_end_matches(['\0', '\n']);
    let (Some(domain), Some(link)) = (with(first, &[(2, GENERATOR)]), with(first, &[(1, "object_r"), (2, LINK)]))
    else {
        return Ok(None);
    };
    Right::of("lnk_file", "read")?.asked(&domain, &link)
}

/// A context with some of its fields (user, role, type, range) exchanged.
fn with(context: &str, fields: &[(usize, &str)]) -> Option<String> {
    let mut all: Vec<&str> = context.splitn(4, ':').collect();
    for (number, field) in fields {
        *all.get_mut(*number)? = field;
    }
    Some(all.join(":"))
}

fn read(name: &str) -> Result<String> {
    let path = Path::new(SELINUXFS).join(name);
    files::ask_kernel(&path).with_context(|| format!("reading {}", path.display()))
}

/// Contexts of the processes there are.
fn domains() -> BTreeSet<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let contexts = numbers.filter_map(|entry| files::ask_kernel(entry.path().join("attr/current")).ok());
    contexts.map(|context| context.trim_end_matches(['\0', '\n']).to_owned()).filter(|one| !one.is_empty()).collect()
}

/// A permission of a class, as this policy numbers them.
struct Right {
    class: String,
    bit: u32,
}

impl Right {
    fn of(class: &str, permission: &str) -> Result<Self> {
        let name = format!("class/{class}/perms/{permission}");
        let bit = read(&name)?.trim().parse::<u32>().context(name)?.saturating_sub(1);
        Ok(Self { class: read(&format!("class/{class}/index"))?.trim().to_owned(), bit })
    }

    /// Whether a context has it over another; nothing where the policy does not know one of them.
    fn asked(&self, source: &str, target: &str) -> Result<Option<bool>> {
        let question = format!("{source} {target} {}", self.class);
        let context = || format!("asking the policy about {question}");
        let path = Path::new(SELINUXFS).join("access");
        let mut access = OpenOptions::new().read(true).write(true).open(path).with_context(context)?;
        match access.write_all(question.as_bytes()) {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => return Ok(None),
            written => written.with_context(context)?,
        }
        let mut answer = String::new();
        access.read_to_string(&mut answer).with_context(context)?;
        self.granted(&answer).map(Some).with_context(context)
    }

    /// What is allowed has a bit for each permission of the class; the last word's first bit is that of a domain that
    /// is permissive.
    fn granted(&self, answer: &str) -> Result<bool> {
        let words: Vec<&str> = answer.split_whitespace().collect();
        let hex = |word: Option<&&str>| u32::from_str_radix(word.copied().unwrap_or_default(), 16);
        let permissive = words.len() >= 6 && hex(words.get(5)).is_ok_and(|flags| flags & 1 == 1);
        Ok(permissive || hex(words.first())?.checked_shr(self.bit).unwrap_or(0) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_with_other_fields() {
        let first = "system_u:system_r:init_t:s0-s0:c0.c1023";
        let changed = with(first, &[(1, "object_r"), (2, LINK)]);
        assert_eq!(changed.as_deref(), Some("system_u:object_r:init_var_run_t:s0-s0:c0.c1023"));
        assert_eq!(with("u:r:t", &[(2, GENERATOR)]).as_deref(), Some("u:r:systemd_gpt_generator_t"));
        assert_eq!(with("kernel", &[(2, GENERATOR)]), None);
    }

    #[test]
    fn what_the_kernel_answers() {
        let right = Right { class: "7".into(), bit: 1 };
        for (answer, granted) in [
            ("2 ffffffff 0 ffffffff 5 0", true),
            ("5 ffffffff 0 ffffffff 5 0", false),
            ("0 ffffffff 0 ffffffff 5 1", true),
            ("0", false),
        ] {
            assert_eq!(right.granted(answer).unwrap(), granted, "{answer}");
        }
        assert!(right.granted("").is_err());
    }
}

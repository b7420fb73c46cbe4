// SPDX-License-Identifier: GPL-2.0-or-later
//! What is asked for on this host: by its own command line and files, or else by what the initramfs read.

use overlayroot_core::config::Config;
use overlayroot_core::facts::Node;
use overlayroot_core::feature::git;
use overlayroot_core::layout::paths::PULL_ASKED;
use overlayroot_core::parse::cmdline::lex;
use overlayroot_core::plan::git::Asked;
use overlayroot_core::record::Record;
use overlayroot_linux::probe::identity;
use overlayroot_linux::source;
use overlayroot_linux::sys::files;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Where programs are, if nobody says it (systemd.exec(5)).
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// root's, which units do not get told.
pub const HOME: &str = "/root";

/// What is asked for, and what tells this machine from others.
pub struct Found {
    /// The repository.
    pub asked: Asked,
    /// The machine, as far as the repository's values ask.
    pub node: Node,
    /// Its name.
    pub hostname: String,
}

/// What is to be pulled; `None` where nothing is asked for.
///
/// # Errors
/// A mistake in a key about it.
pub fn find(record: Option<&Record>) -> Result<Option<Found>, String> {
    let inputs = source::read(Some("/"));
    let config = Config::read(&inputs);
    let of_initramfs = of_record(record)?;
    let asked = match (overlayroot_core::plan::git::asked(&config)?, of_initramfs) {
        (Some(asked), other) => Asked { verify: asked.verify.or(other.and_then(|other| other.verify)), ..asked },
        (None, Some(asked)) => asked,
        (None, None) => return Ok(None),
    };
    let node = identity::look(&overlayroot_core::plan::git::variables(&asked, &config), &lex(&inputs.cmdline));
    let node = overlayroot_core::plan::git::node(&config, node);
    let given = record.and_then(|record| record.effective.hostname.clone());
    let kernel = || fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let hostname = given.unwrap_or_else(kernel);
    Ok(Some(Found { asked, node, hostname }))
}

/// A configuration file may be in the initramfs only.
fn of_record(record: Option<&Record>) -> Result<Option<Asked>, String> {
    let Some(requested) = record.map(|record| &record.requested) else {
        return Ok(None);
    };
    // What the record does not tell is for root, who alone can pull.
    let written = files::read_small(PULL_ASKED).ok().and_then(|text| String::from_utf8(text).ok());
    let written = written.unwrap_or_else(|| requested.git.clone());
    let git = git::parse(&written).map_err(|problem| problem.to_string())?;
    let verify = git::parse_verify(&requested.git_verify).map_err(|problem| problem.to_string())?;
    Ok(git.map(|git| Asked { git, verify, origin: "configuration of the initramfs".to_owned() }))
}

/// What a pull needs and is not here.
pub fn lacking(asked: &Asked) -> Vec<String> {
    let ssh = asked.git.url.to_string().starts_with("ssh://");
    let programs = [("git", true), ("ssh", ssh), ("ssh-keygen", asked.verify.is_some())];
    let programs = programs.into_iter().filter(|(name, needed)| *needed && !is_program(name));
    let signers = asked.verify.iter().filter(|file| !Path::new(file).is_file());
    programs.map(|(name, _)| name.to_owned()).chain(signers.cloned()).collect()
}

fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
    std::env::split_paths(&path).any(|directory| is_executable(&directory.join(name)))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

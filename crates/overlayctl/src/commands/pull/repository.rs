// SPDX-License-Identifier: GPL-2.0-or-later
//! The node's own git. Whatever comes from a configuration is one argument behind `--`, or a name that was checked;
//! no shell sees it, nothing is asked of a terminal, and nothing of the repository is run.

use super::Failure;
use crate::state::asked::{HOME, PATH};
use crate::state::bounded::{Stopped, fits, run};
use overlayroot_core::feature::git::{full_names, is_commit_id, must_be_tag, transports};
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::redact::{told, told_by};
use overlayroot_host::pull::signer;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use std::{env, fs};

/// What the host's configuration of git can't change.
const SETTINGS: [&str; 16] = [
    "protocol.ext.allow=never",
    // Not in the middle of what is being fetched, nor by a repository's alternates.
    "http.followRedirects=initial",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.interactive=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "fetch.fsckObjects=true",
    // Larger files are not held in memory, of which there is a bound.
    "core.bigFileThreshold=32m",
    // A server that is busy sends five bytes each five seconds (uploadpack.keepAlive).
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=120",
    // Signatures of ssh keys only: who is in root's keyring is not asked.
    "gpg.program=false",
    "gpg.openpgp.program=false",
    "gpg.x509.program=false",
    "advice.detachedHead=false",
];
/// What would lead git elsewhere (git rev-parse --local-env-vars).
const ELSEWHERE: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
];
/// git gives this to a shell, so it is fixed.
const SSH: &str = "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15";
/// What was asked for, whatever its name on the server.
const ASKED: &str = "refs/overlayroot/asked";

/// Why a try failed.
#[derive(Debug)]
pub enum Trouble {
    /// The next may go better.
    Again(String),
    /// It will not.
    Never(Failure),
}

/// What was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// Its name on the server; none for a commit id.
    pub name: Option<String>,
    /// The commit.
    pub commit: String,
    /// It is an annotated tag.
    pub is_tag: bool,
    /// With signatures nothing else will do.
    pub must_be_tag: bool,
}

/// A repository to be, in a directory of its own.
pub struct Repository {
    dir: PathBuf,
    url: String,
    until: Instant,
    grace: Duration,
}

impl Repository {
    /// Nothing is done yet. A call of git that begins shortly before the end may take so long still.
    pub fn new(dir: &Path, url: &str, until: Instant, grace: Duration) -> Self {
        Self { dir: dir.to_owned(), url: url.to_owned(), until, grace }
    }

    /// One try to fetch.
    pub fn fetch(&self, reference: Option<&str>) -> Result<Fetched, Trouble> {
        self.anew()?;
        let name = match reference {
            Some(id) if is_commit_id(id) => {
                self.init(id)?;
                self.fetch_commit(&id.to_ascii_lowercase())?;
                None
            }
            other => Some(self.fetch_name(other)?),
        };
        let no_commit = || no_such(reference, "is not a commit");
        let commit = self.local(&["rev-parse", "--verify", "--quiet", &format!("{ASKED}^{{commit}}")]);
        let commit = commit.map_err(|_| no_commit())?.trim().to_owned();
        let is_tag = self.local(&["cat-file", "-t", ASKED]).map_err(|_| no_commit())?.trim() == "tag";
        Ok(Fetched { name, commit, is_tag, must_be_tag: must_be_tag(reference) })
    }

    /// An empty directory, whatever an earlier try left.
    fn anew(&self) -> Result<(), Trouble> {
        let failed = |verb: &str, error: std::io::Error| {
            Trouble::Never(Failure::new("place", format!("{verb} {}: {error}", self.dir.display())))
        };
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir).map_err(|error| failed("removing", error))?;
        }
        fs::create_dir(&self.dir).map_err(|error| failed("making", error))
    }

    /// An empty repository for objects with ids like this one.
    fn init(&self, id: &str) -> Result<(), Trouble> {
        // No template: it may have hooks.
        let mut args = vec!["init", "--quiet", "--template="];
        if id.len() == 64 {
            args.push("--object-format=sha256");
        }
        self.local(&args).map(drop).map_err(|text| Trouble::Never(Failure::new("place", text)))
    }

    /// A tag or branch, a tag first. The names are asked for, so that nothing else is fetched by accident.
    fn fetch_name(&self, reference: Option<&str>) -> Result<String, Trouble> {
        let names = full_names(reference);
        let mut args = vec!["ls-remote", "--exit-code", "--", &self.url];
        args.extend(names.iter().map(String::as_str));
        let output = self.remote(&args)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let listed: Vec<(&str, &str)> = said.lines().filter_map(|line| line.split_once('\t')).collect();
        let found = match output.status.code() {
            // It lists names that only end so, too.
            Some(0) => names.iter().find_map(|name| listed.iter().find(|(_, listed)| listed == name)),
            Some(2) => None,
            _ => return Err(Trouble::Again(self.of_server(&output))),
        };
        let (id, name) =
            found.ok_or_else(|| no_such(reference, "is not a branch or tag of it, nor a whole commit id"))?;
        self.init(id)?;
        self.fetch_into(&[&format!("+{name}:{ASKED}")], &["shallow"])?;
        Ok((*name).to_owned())
    }

    /// A commit by its id, for which an old server is asked for everything.
    fn fetch_commit(&self, id: &str) -> Result<(), Trouble> {
        let spec = format!("+{id}:{ASKED}");
        let args = ["fetch", "--quiet", "--no-tags", "--depth=1", "--", &self.url, &spec];
        let output = self.remote(&args)?;
        if output.status.success() {
            return Ok(());
        }
        let said = self.of_server(&output);
        if !["shallow", "not our ref", "unadvertised", "remote ref"].iter().any(|word| said.contains(word)) {
            return Err(Trouble::Again(said));
        }
        self.fetch_into(&["+refs/heads/*:refs/overlayroot/heads/*", "+refs/tags/*:refs/overlayroot/tags/*"], &[])?;
        let missing = |_| no_such(Some(id), "is not a commit of its branches and tags");
        self.local(&["update-ref", ASKED, id]).map(drop).map_err(missing)
    }

    /// Only the newest commit, unless that fails with one of the words in `or_all`: then all history.
    fn fetch_into(&self, specs: &[&str], or_all: &[&str]) -> Result<(), Trouble> {
        let depth: &[&str] = if or_all.is_empty() { &[] } else { &["--depth=1"] };
        let args = [&["fetch", "--quiet", "--no-tags"], depth, &["--", self.url.as_str()], specs].concat();
        let output = self.remote(&args)?;
        let said = self.of_server(&output);
        match output.status.success() {
            true => Ok(()),
            false if or_all.iter().any(|word| said.contains(word)) => self.fetch_into(specs, &[]),
            false => Err(Trouble::Again(said)),
        }
    }

    /// Who signed the tag, or else the commit: a signer that `file` allows, else it is a failure.
    pub fn verify(&self, file: &str, fetched: &Fetched) -> Result<String, Failure> {
        let refused = |text: String| Failure::new("not-signed", text);
        if fetched.must_be_tag && !fetched.is_tag {
            return Err(refused(no_tag(fetched.name.as_deref().unwrap_or_default())));
        }
        let (verb, what) = if fetched.is_tag { ("verify-tag", "tag") } else { ("verify-commit", "commit") };
        let setting = format!("gpg.ssh.allowedSignersFile={file}");
        let mut command = self.git(&["-c", &setting, verb, "--raw"]);
        command.arg(if fetched.is_tag { ASKED } else { &fetched.commit });
        let output = run(command, &self.dir, Instant::now() + self.grace).map_err(|stopped| refused(stopped.text()))?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let signer = signer(&said).filter(|_| output.status.success()).ok_or_else(|| {
            let said = if said.trim().is_empty() { "no signature".to_owned() } else { first_lines(&said) };
            refused(format!("the {what} is not signed by one whom {file} allows: {said}"))
        })?;
        if let (true, Some(name)) = (fetched.is_tag, &fetched.name) {
            // Who has the server could offer another tag of that signer under this name.
            let own = self.local(&["for-each-ref", "--format=%(tag)", ASKED]).map_err(refused)?;
            let wanted = name.strip_prefix("refs/tags/").unwrap_or(name);
            if own.trim_end() != wanted {
                return Err(refused(format!("{name} is the tag '{}', signed under that name", escape(own.trim_end()))));
            }
        }
        Ok(signer)
    }

    /// Puts the files of the commit into the directory.
    pub fn checkout(&self, commit: &str) -> Result<(), Failure> {
        // Little that was fetched can be much: the same file under a thousand names.
        let list = self.local(&["ls-tree", "-r", "-l", "-z", "--full-tree", commit]);
        let list = list.map_err(|text| Failure::new("too-large", text))?;
        fits(list.as_bytes()).map_err(|text| Failure::new("too-large", text))?;
        let args = ["checkout", "--quiet", "--force", "--detach", commit];
        self.local(&args).map(drop).map_err(|text| Failure::new("place", text))
    }

    fn remote(&self, args: &[&str]) -> Result<Output, Trouble> {
        let until = self.until.max(Instant::now() + self.grace);
        run(self.git(args), &self.dir, until).map_err(|stopped| match stopped {
            Stopped::Early(text) => Trouble::Again(format!("{}: {text}", told(&self.url))),
            Stopped::Large(text) => Trouble::Never(Failure::new("too-large", format!("{}: {text}", told(&self.url)))),
        })
    }

    fn local(&self, args: &[&str]) -> Result<String, String> {
        let output = run(self.git(args), &self.dir, Instant::now() + self.grace).map_err(Stopped::text)?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(self.complaint(&output)),
        }
    }

    /// What went wrong with the server, which is always named.
    fn of_server(&self, output: &Output) -> String {
        let (said, url) = (self.complaint(output), told(&self.url));
        if said.contains(&url) { said } else { format!("{url}: {said}") }
    }

    /// What git says went wrong. It may tell the URL.
    fn complaint(&self, output: &Output) -> String {
        first_lines(&told_by(&String::from_utf8_lossy(&output.stderr), &self.url))
    }

    fn git(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.dir);
        SETTINGS.iter().for_each(|setting| {
            command.args(["-c", setting]);
        });
        command.args(args);
        ELSEWHERE.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "");
        // Signatures are checked in files: not where others may write, and nobody has to have made /tmp.
        command.env("TMPDIR", self.dir.join(".git"));
        command.env_remove("SSH_ASKPASS").env("SSH_ASKPASS_REQUIRE", "never");
        command.env("GIT_ALLOW_PROTOCOL", transports(&self.url).join(":")).env("GIT_NO_REPLACE_OBJECTS", "1");
        let of_site = ["GIT_SSH_COMMAND", "GIT_SSH"].iter().any(|name| env::var_os(name).is_some());
        if !of_site {
            command.env("GIT_SSH_COMMAND", SSH);
        }
        for (name, value) in [("HOME", HOME), ("PATH", PATH)] {
            if env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        command
    }
}

/// Why a name is refused that is no signed tag.
fn no_tag(name: &str) -> String {
    match name.strip_prefix("refs/heads/") {
        Some(branch) => format!(
            "{} is a branch, and a name must be an annotated, signed tag; #{} takes the branch, if its commit is signed",
            escape(branch),
            escape(name)
        ),
        None => format!("{} is a lightweight tag, which has no signature; it must be an annotated one", escape(name)),
    }
}

fn no_such(reference: Option<&str>, why: &str) -> Trouble {
    let reference = reference.unwrap_or("HEAD");
    Trouble::Never(Failure::new("no-such-ref", format!("{reference} {why}")))
}

/// Progress overwrites itself on a terminal, and what counts comes behind it.
fn first_lines(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.trim_end().rsplit('\r').next());
    let lines = lines.map(str::trim).filter(|line| !line.is_empty());
    lines.take(3).map(escape).collect::<Vec<_>>().join("; ")
}

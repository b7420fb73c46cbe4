// SPDX-License-Identifier: GPL-2.0-or-later
//! `rd.overlay.git`: the repository that the booted system is configured from. The initramfs only has its unit
//! started; `overlayctl pull` does the rest.

use crate::facts::Node;
use crate::feature::template::{self, Into, Template, Var};
use crate::value::diagnostics::{Problem, escape, suggest};
use crate::value::redact;
use std::fmt;

/// What git may speak: each is fetched by git itself or by ssh, and none names a program to run.
pub const SCHEMES: [&str; 5] = ["https", "http", "ssh", "git", "file"];

/// The value of `rd.overlay.git`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Git {
    /// URL of the repository.
    pub url: Template,
    /// Branch, tag or commit id; none is what the repository's `HEAD` says.
    pub reference: Option<Template>,
}

/// As people are told it.
impl fmt::Display for Git {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact::told(&self.url.to_string()))?;
        self.reference.as_ref().map_or(Ok(()), |reference| write!(f, "#{reference}"))
    }
}

impl Git {
    /// The variables in it.
    pub fn vars(&self) -> impl Iterator<Item = Var> {
        self.url.vars().chain(self.reference.iter().flat_map(Template::vars))
    }

    /// As it is written, with what people are not told.
    pub fn written(&self) -> String {
        let reference = self.reference.as_ref().map(|reference| format!("#{reference}")).unwrap_or_default();
        format!("{}{reference}", self.url)
    }

    /// URL and reference on this machine.
    ///
    /// # Errors
    /// The variable that is not known, or what it would make of them.
    pub fn on(&self, node: &Node) -> Result<(String, Option<String>), String> {
        let url = self.url.expand(node, Into::Url)?;
        check_url(&url).map_err(|problem| problem.to_string())?;
        // A reference has no colons either.
        let reference = self.reference.as_ref().map(|reference| reference.expand(node, Into::Hostname)).transpose()?;
        reference.as_deref().map_or(Ok(()), check_ref)?;
        Ok((url, reference))
    }
}

/// The value of `rd.overlay.git`; empty is none.
///
/// # Errors
/// What no machine could fetch.
pub fn parse(value: &str) -> Result<Option<Git>, Problem> {
    if value.is_empty() {
        return Ok(None);
    }
    let (text, reference) = value.split_once('#').map_or((value, None), |(text, reference)| (text, Some(reference)));
    let git = Git { url: template::parse(text)?, reference: reference.map(template::parse).transpose()? };
    // Whatever a variable is: one part of a path, so that one can stand for all.
    let any = || Some("x".to_owned());
    let node = Node { hostname: any(), mac: any(), serial: any(), uuid: any(), ip: any() };
    let url = git.url.expand(&node, Into::Url).map_err(|text| Problem::new(text, None))?;
    check_url(&url)?;
    git.on(&node).map_err(|text| Problem::new(text, None))?;
    Ok(Some(git))
}

/// The value of `rd.overlay.git.verify`; empty is none.
///
/// # Errors
/// Where it is no absolute path.
pub fn parse_verify(value: &str) -> Result<Option<String>, Problem> {
    let plain = value.starts_with('/') && !value.ends_with('/') && !value.chars().any(char::is_control);
    match value {
        "" => Ok(None),
        _ if plain => Ok(Some(value.to_owned())),
        _ => Err(Problem::new("not the absolute path of a file with allowed signers; nothing is pulled", None)),
    }
}

fn check_url(url: &str) -> Result<(), Problem> {
    let problem = |text: &str| Err(Problem::new(text, None));
    let Some((scheme, rest)) = url.split_once("://") else {
        return problem(match url.starts_with('/') {
            true => "no URL; a path is file:///path",
            false => "no URL; ssh is ssh://user@host/path",
        });
    };
    if !SCHEMES.contains(&scheme) {
        let text = format!("'{}' is none of {}", escape(scheme), SCHEMES.join(", "));
        return Err(Problem::new(text, suggest(scheme, SCHEMES)));
    }
    if let Some(bad) = url.chars().find(|c| !c.is_ascii_graphic()) {
        let text = format!("'{}' in a URL must be percent-encoded", escape(&bad.to_string()));
        return Err(Problem::new(text, None));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return problem("a URL with a password, which all users could read; for other places see overlayroot-rs(7)");
    }
    match (scheme, authority) {
        ("file", "") => {}
        ("file", _) => return problem("a file has no server: file:///path"),
        _ if host.is_empty() || host.starts_with(':') => return problem("a URL without a server"),
        _ if !redact::has_port(host) => return problem("no number behind the ':' of the server"),
        // Would be an option of ssh.
        _ if host.starts_with('-') || user.starts_with('-') => return problem("a server or user can't begin with '-'"),
        _ => {}
    }
    if path.trim_matches('/').is_empty() {
        return problem("a URL that names no repository");
    }
    // git decodes the paths of ssh and file.
    let decoded = path.to_ascii_lowercase().replace("%2f", "/").replace("%2e", ".");
    match decoded.split('/').any(|part| part == "..") {
        true => problem("'..' in a URL"),
        false => Ok(()),
    }
}

/// Whether it is the name of a branch or tag (git-check-ref-format(1)), which neither git nor a refspec takes for
/// something else.
///
/// # Errors
/// What is wrong with it.
pub fn check_ref(name: &str) -> Result<(), String> {
    const MOST: usize = 200;
    let bad_char = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    let bad = name.len() > MOST
        || name == "@"
        || name.starts_with(['-', '+'])
        || name.ends_with('.')
        || name.contains("..")
        || name.contains("@{")
        || name.contains(bad_char)
        || name.split('/').any(bad_part);
    if bad { Err(format!("'{}' is not a branch, tag or commit id", escape(name))) } else { Ok(()) }
}

/// A whole commit id, SHA-1 or SHA-256. It is never taken for a name: a server could make a branch of that name.
pub fn is_commit_id(reference: &str) -> bool {
    matches!(reference.len(), 40 | 64) && reference.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// The names that a reference may mean on the server, the one that wins first.
pub fn full_names(reference: Option<&str>) -> Vec<String> {
    match reference {
        None => vec!["HEAD".to_owned()],
        Some(name) if name == "HEAD" || name.starts_with("refs/") => vec![name.to_owned()],
        Some(name) => vec![format!("refs/tags/{name}"), format!("refs/heads/{name}")],
    }
}

/// Whether only an annotated tag, signed under its own name, will do where signatures are asked for. Who has the
/// server puts a branch or a lightweight tag on any commit that a signer ever signed, so a name that may be a tag has
/// to be a signed one. `HEAD`, `refs/heads/NAME` and a commit id ask for a commit in so many words.
pub fn must_be_tag(reference: Option<&str>) -> bool {
    reference.is_some_and(|name| match is_commit_id(name) || name == "HEAD" {
        true => false,
        false => name.starts_with("refs/tags/") || !name.starts_with("refs/"),
    })
}

/// The transports that git may come to use for this URL, by a redirection or a setting of the site: from one that
/// checks the server never one that does not.
pub fn transports(url: &str) -> Vec<&'static str> {
    let unchecked = |scheme: &str| matches!(scheme, "http" | "git");
    let asked = url.split_once("://").map_or("", |(scheme, _)| scheme);
    SCHEMES.into_iter().filter(|scheme| unchecked(asked) || !unchecked(scheme)).collect()
}

#[cfg(test)]
mod tests;

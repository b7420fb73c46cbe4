// SPDX-License-Identifier: GPL-2.0-or-later
//! `rd.overlay.populate`: an archive whose content a new upper begins with.

use crate::facts::{Archive, Node};
use crate::feature::template::{self, Into, Template};
use crate::layout::Store;
use crate::value::diagnostics::{Problem, escape, suggest};
use crate::value::redact;
use std::fmt;

/// What unpacks; only in images that ask for it.
pub const PROGRAM: &str = "overlay-populate";
/// What fetches: dracut's module url-lib puts it into the image, with the certificates of the host.
pub const CURL: &str = "curl";
/// Code of the step, and of a refusal for its sake.
pub const CODE: &str = "populate";

/// What curl speaks in dracut's url-lib.
pub const SCHEMES: [&str; 4] = ["http", "https", "ftp", "tftp"];

/// `rd.overlay.populate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// URL, or path in the root.
    pub source: Template,
    /// Sum that the archive must have, in lower case.
    pub sha256: Option<String>,
    /// Device nodes and pipes are taken.
    pub devices: bool,
    /// The value was not understood: a new upper must not begin with something else.
    pub mistaken: bool,
}

impl Asked {
    /// A value that was not understood.
    pub(crate) fn mistaken(told: &str) -> Self {
        Self { source: Template::literal(told), sha256: None, devices: false, mistaken: true }
    }

    /// Whether a network is needed.
    pub fn is_url(&self) -> bool {
        !self.source.to_string().starts_with('/')
    }

    /// The programs that the initramfs needs for it.
    pub fn programs(&self) -> Vec<&'static str> {
        if self.is_url() { vec![PROGRAM, CURL] } else { vec![PROGRAM] }
    }

    /// The URL or path on this machine.
    ///
    /// # Errors
    /// The variable that is not known, or what it makes of a path.
    pub fn on(&self, node: &Node) -> Result<String, String> {
        if self.mistaken {
            return Err("the value is not valid".to_owned());
        }
        if self.is_url() {
            return self.source.expand(node, Into::Url);
        }
        let path = self.source.expand(node, Into::Path)?;
        plain(&path).map(|()| path)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact::told(&self.source.to_string()))?;
        if let Some(sum) = &self.sha256 {
            write!(f, ",sha256={sum}")?;
        }
        if self.devices { f.write_str(",devices") } else { Ok(()) }
    }
}

/// The value of `rd.overlay.populate`; empty is none. A comma in a URL is written `%2C`.
pub fn parse(value: &str) -> Result<Option<Asked>, Problem> {
    let mut words = value.split(',');
    let source = words.next().unwrap_or_default();
    if value.is_empty() {
        return Ok(None);
    }
    let mut asked = Asked { source: template::parse(source)?, sha256: None, devices: false, mistaken: false };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("sha256", sum) => asked.sha256 = Some(sha256(sum)?),
            ("devices", "") => asked.devices = true,
            (key, _) => {
                let text = format!("unknown option '{}' (a comma in a URL is %2C)", escape(key));
                return Err(Problem::new(text, suggest(key, ["sha256", "devices"])));
            }
        }
    }
    if asked.is_url() {
        check_url(source)?
    } else {
        path(&asked.source)?
    }
    Ok(Some(asked))
}

fn sha256(sum: &str) -> Result<String, Problem> {
    let good = sum.len() == 64 && sum.bytes().all(|digit| digit.is_ascii_hexdigit());
    let text = || format!("sha256={} is not 64 hexadecimal digits", escape(sum));
    if good { Ok(sum.to_ascii_lowercase()) } else { Err(Problem::new(text(), None)) }
}

fn check_url(text: &str) -> Result<(), Problem> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Problem::new("neither a URL nor the absolute path of a file in the root", None));
    };
    if !SCHEMES.contains(&scheme) {
        let text = format!("'{}' is none of {}", escape(scheme), SCHEMES.join(", "));
        return Err(Problem::new(text, suggest(scheme, SCHEMES)));
    }
    if rest.is_empty() || rest.starts_with('/') {
        return Err(Problem::new("a URL without a server", None));
    }
    let server = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !redact::has_port(server.rsplit_once('@').map_or(server, |(_, host)| host)) {
        return Err(Problem::new("no number behind the ':' of the server", None));
    }
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        Some(bad) => {
            Err(Problem::new(format!("'{}' in a URL must be percent-encoded", escape(&bad.to_string())), None))
        }
        None => Ok(()),
    }
}

/// Any value of a variable is one part of the path, so that one can stand for all.
fn path(template: &Template) -> Result<(), Problem> {
    let any = || Some("x".to_owned());
    let node = Node { hostname: any(), mac: any(), serial: any(), uuid: any(), ip: any() };
    let checked = template.expand(&node, Into::Path).and_then(|path| plain(&path));
    checked.map_err(|text| Problem::new(text, None))
}

fn plain(path: &str) -> Result<(), String> {
    let parts = path.strip_prefix('/').unwrap_or_default().split('/');
    let bad = |part: &str| matches!(part, "" | "." | "..") || part.chars().any(char::is_control);
    match parts.clone().any(bad) {
        true => Err(format!("'{}' is not the plain path of a file in the root", escape(path))),
        false => Ok(()),
    }
}

/// What the step does, once the upper is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Populate {
    /// URL or path; empty where `unready` says why it is not known.
    pub source: String,
    /// The same for people.
    pub told: String,
    /// Sum that the archive must have.
    pub sha256: Option<String>,
    /// Device nodes and pipes are taken.
    pub devices: bool,
    /// Proxy of the network (dracut's `proxy=`).
    pub proxy: Option<String>,
    /// The upper.
    pub store: Store,
    /// Where the lower can be read.
    pub lower: String,
    /// Why it can't be done here. An upper that is not new does not ask.
    pub unready: Option<String>,
    /// The upper is a read-only layer: only say what it was made from.
    pub readonly: bool,
}

impl Populate {
    /// The step on this machine.
    pub(crate) fn new(asked: &Asked, node: &Node, facts: &Archive, store: Store, lower: &str) -> Self {
        let source = asked.on(node);
        let lacks = asked.programs().into_iter().find(|program| !facts.programs.iter().any(|has| has == program));
        let lacks = lacks.map(|program| {
            let hint = "overlayroot_populate=yes in dracut.conf puts it there";
            format!("{program} is not in the initramfs; {hint}")
        });
        let unready = source.as_ref().err().cloned().or(lacks);
        Self {
            told: redact::told(source.as_deref().unwrap_or(&asked.source.to_string())),
            source: source.unwrap_or_default(),
            sha256: asked.sha256.clone(),
            devices: asked.devices,
            proxy: facts.proxy.clone().filter(|_| asked.is_url()),
            store,
            lower: lower.to_owned(),
            unready,
            readonly: false,
        }
    }

    /// Whether an upper that was made from `was` is what is asked for now.
    pub fn is_from(&self, was: &Marker) -> bool {
        match &self.sha256 {
            Some(sum) => *sum == was.sha256,
            None if was.id.is_empty() => self.source.is_empty() || Marker::cut(&self.told) == redact::told(&was.source),
            None => self.source.is_empty() || Marker::id(&self.source) == was.id,
        }
    }
}

impl fmt::Display for Populate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upper = &self.store.upper;
        if self.readonly {
            return write!(f, "nothing, but say what {upper} was made from");
        }
        write!(f, "{} into {upper}, if that is new", escape(&self.told))?;
        if let Some(sum) = &self.sha256 {
            write!(f, ", sha256 {sum}")?;
        }
        if self.devices {
            write!(f, ", devices")?;
        }
        self.proxy.as_ref().map_or(Ok(()), |proxy| write!(f, ", by way of {}", escape(&redact::told(proxy))))
    }
}

/// Kept with an upper: what it began with. An extended attribute of its directory, so that both appear at once
/// and stay together whatever name the upper is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marker {
    /// Sum of the archive.
    pub sha256: String,
    /// Where it came from, as people are told it, cut to fit.
    pub source: String,
    /// [`Marker::id`] of it, whole; empty in what an older version has left.
    pub id: String,
}

impl Marker {
    /// Name of the attribute.
    pub const NAME: &str = "trusted.overlayroot.populate";
    /// ext4 keeps all attributes of a file in one block, which may have 1 KiB.
    const MOST: usize = 256;

    /// What was made of `source`, whole.
    pub fn of(sha256: String, source: &str) -> Self {
        Self { sha256, source: Self::cut(&redact::told(source)), id: Self::id(source) }
    }

    /// Tells one source from another, also by what people are not told (FNV-1a). No more: the sum says what it is.
    pub fn id(source: &str) -> String {
        let hash = source
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{hash:016x}")
    }

    /// What of a source is kept.
    pub fn cut(source: &str) -> String {
        let mut end = source.len().min(Self::MOST);
        while !source.is_char_boundary(end) {
            end -= 1;
        }
        source.get(..end).unwrap_or_default().to_owned()
    }

    /// Reads it. What is not understood is still a marker: the upper was populated.
    pub fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).unwrap_or_default().to_owned()
        };
        Self { sha256: value("sha256"), source: redact::told(&value("source")), id: value("id") }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256 {}\nsource {}\nid {}\n", self.sha256, Self::cut(&self.source), self.id)
    }
}

#[cfg(test)]
mod tests;

// SPDX-License-Identifier: GPL-2.0-or-later
//! Fetches by curl, as dracut's url-lib does, but with every wait bounded, the certificate always checked, and
//! never through a shell.

use crate::fault::{At, Fault, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long, and how much.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Seconds for all attempts.
    pub total: u64,
    /// Seconds within which a failed attempt is followed by another.
    pub retry: u64,
    /// Seconds without a thousand bytes each that end an attempt.
    pub stall: u64,
    /// Most bytes.
    pub bytes: u64,
}

/// Fetches `url` into an empty file.
///
/// # Errors
/// Where it can't be had in time, with curl's words.
pub fn fetch(url: &str, proxy: Option<&str>, told: &str, into: &File, bounds: Bounds) -> Result<()> {
    let started = Instant::now();
    let mut pause = 1;
    loop {
        let spent = started.elapsed().as_secs();
        let left = bounds.total.saturating_sub(spent).max(1);
        let ended = attempt(url, proxy, into, Bounds { total: left, ..bounds })?;
        let Some(ended) = ended else {
            return Ok(());
        };
        let spent = started.elapsed().as_secs();
        if !ended.again || spent + pause > bounds.retry || spent + pause >= bounds.total {
            return Err(Fault { word: ended.word, text: format!("{} ({told}, after {spent} s)", ended.text) });
        }
        tell(&format!("{}; trying again in {pause} s", ended.text));
        std::thread::sleep(Duration::from_secs(pause));
        pause = (pause * 2).min(15);
    }
}

/// Also on the console of a boot, for it may take minutes.
fn tell(text: &str) {
    eprintln!("{text}");
    if Path::new("/etc/initrd-release").exists() {
        overlayroot_linux::kmsg::write(5, text);
    }
}

struct Ended {
    again: bool,
    word: &'static str,
    text: String,
}

/// One run of curl; nothing where it has succeeded.
fn attempt(url: &str, proxy: Option<&str>, into: &File, bounds: Bounds) -> Result<Option<Ended>> {
    let context = || "running curl".to_owned();
    into.set_len(0).at(context)?;
    let mut file = into;
    file.seek(SeekFrom::Start(0)).at(context)?;
    let mut curl = Command::new("curl");
    curl.args(arguments(url, proxy, bounds)).stdin(Stdio::null()).stdout(into.try_clone().at(context)?);
    // A server that does not tell the length, and a curl before 8.4, which bounds nothing then.
    let before = getrlimit(Resource::Fsize);
    let most = before.maximum.map_or(bounds.bytes, |most| most.min(bounds.bytes));
    let bound = Rlimit { current: Some(most), maximum: before.maximum };
    setrlimit(Resource::Fsize, bound).at(context)?;
    let output = curl.stderr(Stdio::piped()).spawn().and_then(std::process::Child::wait_with_output);
    setrlimit(Resource::Fsize, before).at(context)?;
    let output = output.map_err(|error| Fault { word: "fetch", text: format!("curl can't be run: {error}") })?;
    if output.status.success() {
        return Ok(None);
    }
    let said = overlayroot_linux::program::last_line(&output.stderr);
    Ok(Some(ended(output.status.code(), &said, bounds)))
}

/// curl(1), EXIT CODES. Without a code a signal ended it: it wrote more than it may.
fn ended(code: Option<i32>, said: &str, bounds: Bounds) -> Ended {
    let text = match said {
        "" => format!("curl ended with {code:?}"),
        said => said.to_owned(),
    };
    match code {
        // 23: it could not write; 63: the server says that it is larger.
        None | Some(23 | 63) => {
            let text = format!("more than {} MiB are not free for the archive: {text}", bounds.bytes >> 20);
            Ended { again: false, word: "no-room", text }
        }
        Some(22) => {
            let again = ["408", "429", "500", "502", "503", "504"].iter().any(|status| said.ends_with(status));
            Ended { again, word: "fetch", text }
        }
        // No name, no connection, cut short, too slow, nothing said, broken off.
        Some(5 | 6 | 7 | 18 | 28 | 35 | 52 | 55 | 56) => Ended { again: true, word: "fetch", text },
        Some(_) => Ended { again: false, word: "fetch", text },
    }
}

fn arguments(url: &str, proxy: Option<&str>, bounds: Bounds) -> Vec<String> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    // A server must not lead from https to http, nor from any of them to a local file.
    let (proto, redirected) = match scheme {
        "http" => ("=http,https", "=http,https"),
        "https" => ("=https", "=https"),
        "ftp" => ("=ftp", "=ftp"),
        _ => ("=tftp", "=tftp"),
    };
    // First of all: no curlrc, which may say that no certificate is looked at.
    let mut words: Vec<String> = [
        "--disable",
        "--silent",
        "--show-error",
        "--fail",
        "--location",
        "--max-redirs",
        "10",
        "--globoff",
        "--proto",
        proto,
        "--proto-redir",
        redirected,
        "--connect-timeout",
        "10",
        "--speed-limit",
        "1000",
    ]
    .map(str::to_owned)
    .to_vec();
    let numbers = [("--speed-time", bounds.stall), ("--max-time", bounds.total), ("--max-filesize", bounds.bytes)];
    words.extend(numbers.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]));
    words.extend(proxy.iter().flat_map(|proxy| ["--proxy".to_owned(), (*proxy).to_owned()]));
    words.extend(["--".to_owned(), url.to_owned()]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { total: 600, retry: 120, stall: 30, bytes: 1 << 30 };

    #[test]
    fn certificates_are_looked_at_and_no_url_is_an_option() {
        let words = arguments("https://s/x", Some("http://p:1"), BOUNDS);
        assert_eq!(words.first().map(String::as_str), Some("--disable"));
        assert!(!words.iter().any(|word| word == "--insecure" || word == "-k"));
        assert_eq!(&words[words.len() - 4..], ["--proxy", "http://p:1", "--", "https://s/x"]);
        assert!(words.windows(2).any(|pair| pair == ["--proto-redir", "=https"]));
        assert!(!arguments("http://s/x", None, BOUNDS).iter().any(|word| word == "--proxy"));
    }

    #[test]
    fn what_is_tried_again() {
        let again = |code, said: &str| ended(Some(code), said, BOUNDS).again;
        assert!(!again(22, "curl: (22) The requested URL returned error: 404"));
        assert!(again(22, "curl: (22) The requested URL returned error: 503"));
        assert!(again(7, "") && again(18, "") && !again(60, "") && !again(3, ""));
        assert_eq!(ended(None, "", BOUNDS).word, "no-room");
    }
}

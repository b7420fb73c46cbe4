// SPDX-License-Identifier: GPL-2.0-or-later
//! Fetches by curl, as dracut's url-lib does, but with every wait bounded, the certificate always checked, and
//! never through a shell.

use crate::fault::{At, Fault, Result};
use overlayroot_core::value::diagnostics::plain;
use overlayroot_core::value::redact::told_by;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a running curl is looked at.
const POLL: Duration = Duration::from_millis(20);

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
        let ended = attempt(url, proxy, into, 0, Bounds { total: left, ..bounds }, &mut |_| ())?;
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
    let text = plain(text);
    eprintln!("{text}");
    if Path::new("/etc/initrd-release").exists() {
        overlayroot_linux::log::kmsg::write(5, &text);
    }
}

/// How an attempt ended that was in vain.
pub(crate) struct Ended {
    /// Another may do better.
    pub(crate) again: bool,
    /// The server is there, and says that it has no such file, or not for us.
    pub(crate) missing: bool,
    /// It can't go on where an earlier one ended, only begin anew.
    pub(crate) anew: bool,
    pub(crate) word: &'static str,
    pub(crate) text: String,
}

/// One run of curl, which goes on behind the first `from` bytes of the file; nothing where it has succeeded. `watch`
/// gets the length of the file now and then.
pub(crate) fn attempt(
    url: &str,
    proxy: Option<&str>,
    into: &File,
    from: u64,
    bounds: Bounds,
    watch: &mut dyn FnMut(u64),
) -> Result<Option<Ended>> {
    let context = || "running curl".to_owned();
    into.set_len(from).at(context)?;
    let mut file = into;
    file.seek(SeekFrom::Start(from)).at(context)?;
    let mut curl = Command::new("curl");
    curl.args(arguments(url, proxy, from, bounds)).stdin(Stdio::null()).stdout(into.try_clone().at(context)?);
    // A server that does not tell the length, and a curl before 8.4, which bounds nothing then.
    let before = getrlimit(Resource::Fsize);
    let most = before.maximum.map_or(bounds.bytes, |most| most.min(bounds.bytes));
    let bound = Rlimit { current: Some(most), maximum: before.maximum };
    setrlimit(Resource::Fsize, bound).at(context)?;
    let child = curl.stderr(Stdio::piped()).spawn();
    setrlimit(Resource::Fsize, before).at(context)?;
    let output = child.and_then(|mut child| {
        while child.try_wait()?.is_none() {
            watch(into.metadata()?.len());
            std::thread::sleep(POLL);
        }
        child.wait_with_output()
    });
    let output = output.map_err(|error| Fault { word: "fetch", text: format!("curl can't be run: {error}") })?;
    if output.status.success() {
        return Ok(None);
    }
    let mut said = told_by(&complaint(&output.stderr), url);
    if let Some(proxy) = proxy {
        said = told_by(&said, proxy);
    }
    Ok(Some(ended(output.status.code(), &said, bounds)))
}

/// What curl says went wrong: its own line, behind which it gives advice where a certificate does not fit.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let own = text.lines().rfind(|line| line.starts_with("curl: "));
    own.map_or_else(|| overlayroot_linux::sys::program::last_line(stderr), |line| line.trim().to_owned())
}

/// curl(1), EXIT CODES. Without a code a signal ended it: it wrote more than it may.
fn ended(code: Option<i32>, said: &str, bounds: Bounds) -> Ended {
    let text = match said {
        "" => format!("curl ended with {code:?}"),
        said => said.to_owned(),
    };
    let plain = Ended { again: false, missing: false, anew: false, word: "fetch", text };
    match code {
        // 23: it could not write; 63: the server says that it is larger.
        None | Some(23 | 63) => {
            let text = format!("more than {} MiB are not free for it: {}", bounds.bytes >> 20, plain.text);
            Ended { word: "no-room", text, ..plain }
        }
        // 416: there is nothing behind what we have.
        Some(22) if said.ends_with("416") => Ended { anew: true, ..plain },
        Some(22) => {
            let again = ["408", "429", "500", "502", "503", "504"].iter().any(|status| said.ends_with(status));
            Ended { again, missing: !again, ..plain }
        }
        // FTP's and TFTP's way to say so.
        Some(68 | 78) => Ended { missing: true, ..plain },
        // The server knows no ranges.
        Some(33 | 36) => Ended { anew: true, ..plain },
        // No name, no connection, cut short, too slow, nothing said, broken off.
        Some(5 | 6 | 7 | 18 | 28 | 35 | 52 | 55 | 56) => Ended { again: true, ..plain },
        Some(_) => plain,
    }
}

fn arguments(url: &str, proxy: Option<&str>, from: u64, bounds: Bounds) -> Vec<String> {
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
    let most = bounds.bytes.saturating_sub(from).max(1);
    let numbers = [("--speed-time", bounds.stall), ("--max-time", bounds.total), ("--max-filesize", most)];
    let behind = (from > 0).then_some(("--continue-at", from));
    let numbers: Vec<(&str, u64)> = numbers.into_iter().chain(behind).collect();
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
        let words = arguments("https://s/x", Some("http://p:1"), 0, BOUNDS);
        assert_eq!(words.first().map(String::as_str), Some("--disable"));
        assert!(!words.iter().any(|word| word == "--insecure" || word == "-k"));
        assert_eq!(&words[words.len() - 4..], ["--proxy", "http://p:1", "--", "https://s/x"]);
        assert!(words.windows(2).any(|pair| pair == ["--proto-redir", "=https"]));
        assert!(!arguments("http://s/x", None, 0, BOUNDS).iter().any(|word| word == "--proxy"));
    }

    #[test]
    fn curl_is_quoted_without_its_advice() {
        let advice = b"curl: (60) SSL certificate problem: self-signed certificate\nMore details here: https://x\n\n\
            To learn more about this situation and\nhow to fix it, please visit the web page mentioned above.\n";
        assert_eq!(complaint(advice), "curl: (60) SSL certificate problem: self-signed certificate");
        assert_eq!(complaint(b"ld.so: no libcurl\n\n"), "ld.so: no libcurl");
    }

    #[test]
    fn what_is_tried_again() {
        let again = |code, said: &str| ended(Some(code), said, BOUNDS).again;
        assert!(!again(22, "curl: (22) The requested URL returned error: 404"));
        assert!(again(22, "curl: (22) The requested URL returned error: 503"));
        assert!(again(7, "") && again(18, "") && !again(60, "") && !again(3, ""));
        assert_eq!(ended(None, "", BOUNDS).word, "no-room");
        let missing = |code, said: &str| ended(Some(code), said, BOUNDS).missing;
        assert!(missing(22, "error: 404") && missing(78, "") && !missing(22, "error: 503") && !missing(7, ""));
        assert!(ended(Some(33), "", BOUNDS).anew && ended(Some(22), "error: 416", BOUNDS).anew);
    }

    #[test]
    fn what_is_there_already_is_not_fetched_again() {
        let words = arguments("http://s/x", None, 1 << 20, BOUNDS);
        assert!(words.windows(2).any(|pair| pair == ["--continue-at", "1048576"]));
        assert!(words.windows(2).any(|pair| pair[0] == "--max-filesize" && pair[1] == "1072693248"));
    }
}

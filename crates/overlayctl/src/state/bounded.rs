// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs git with an end of everything: a server may send without end, or little that becomes much.

use overlayroot_core::value::size::human;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Most bytes that are fetched, and most that the files of a commit may have: a repository of configuration has a
/// few MiB, and the upper is often in RAM.
pub const MOST_BYTES: u64 = 512 << 20;
/// Most memory of its own that each program of git gets. What it has of files by mmap does not count.
const MOST_MEMORY: u64 = 1 << 30;
/// Most that a call of git may say: the list of a commit's files, 100 bytes each.
const MOST_SAID: u64 = 16 << 20;
/// Of what a call of git starts, which are four or so.
const MOST_PROCESSES: usize = 100;
/// Between two looks at how much there is.
const LOOK: Duration = Duration::from_millis(200);

/// Why a call came to no end of its own.
#[derive(Debug)]
pub enum Stopped {
    /// The next may go better.
    Early(String),
    /// It is more than is taken.
    Large(String),
}

impl Stopped {
    /// In words.
    pub fn text(self) -> String {
        match self {
            Self::Early(text) | Self::Large(text) => text,
        }
    }
}

/// Runs it to its end, which comes at `until`, or when `dir` holds more than [`MOST_BYTES`].
pub fn run(mut command: Command, dir: &Path, until: Instant) -> Result<Output, Stopped> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let early = |error: std::io::Error| Stopped::Early(format!("git: {error}"));
    let mut child = spawn(&mut command).map_err(early)?;
    let (out, err) = (child.stdout.take().map(said), child.stderr.take().map(said));
    let status = loop {
        if let Some(status) = child.try_wait().map_err(early)? {
            break status;
        }
        let full = |pipe: &Option<JoinHandle<_>>| pipe.as_ref().is_some_and(JoinHandle::is_finished);
        let stopped = if Instant::now() >= until {
            Some(Stopped::Early("git took too long and was stopped".to_owned()))
        } else if size(dir, MOST_BYTES) > MOST_BYTES {
            Some(large())
        } else if full(&out) && full(&err) {
            // It has closed both, or has said too much and waits for ever.
            thread::sleep(LOOK);
            child
                .try_wait()
                .map_err(early)?
                .is_none()
                .then(|| Stopped::Large("the output of git is too long".to_owned()))
        } else {
            None
        };
        if let Some(stopped) = stopped {
            end(&mut child);
            return Err(stopped);
        }
        thread::sleep(LOOK / 10);
    };
    let take = |pipe: Option<JoinHandle<Vec<u8>>>| pipe.and_then(|pipe| pipe.join().ok()).unwrap_or_default();
    let output = Output { status, stdout: take(out), stderr: take(err) };
    if output.stdout.len() as u64 > MOST_SAID {
        return Err(Stopped::Large("the output of git is too long".to_owned()));
    }
    let text = String::from_utf8_lossy(&output.stderr);
    if !status.success() && (text.contains("File too large") || text.contains("signal 25")) {
        return Err(large());
    }
    Ok(output)
}

fn large() -> Stopped {
    Stopped::Large(format!("the repository has more than {}", human(MOST_BYTES)))
}

/// No file that it, or what it starts, writes gets larger, and none of them takes more memory: names of branches
/// without end are kept in it.
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let limits = [(Resource::Fsize, MOST_BYTES), (Resource::Data, MOST_MEMORY)];
    let before = limits.map(|(resource, _)| (resource, getrlimit(resource)));
    for ((resource, most), (_, before)) in limits.into_iter().zip(before) {
        let most = before.maximum.map_or(most, |hard| hard.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: before.maximum })?;
    }
    let child = command.spawn();
    before.into_iter().try_for_each(|(resource, before)| setrlimit(resource, before))?;
    child
}

/// What comes out of a pipe, and no more than is wanted: who has more to say is stopped by the pipe.
fn said(pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut pipe, mut bytes) = (pipe.take(MOST_SAID + 1), Vec::new());
        let mut piece = vec![0; 1 << 16];
        while let Ok(got @ 1..) = pipe.read(&mut piece) {
            bytes.extend_from_slice(piece.get(..got).unwrap_or_default());
        }
        bytes
    })
}

/// Ends it, and what it has started: what speaks with the server would go on, for nothing ends it with git.
pub fn end(child: &mut Child) {
    let mut tree = vec![child.id()];
    let mut next = 0;
    while let Some(pid) = tree.get(next).filter(|_| next < MOST_PROCESSES) {
        tree.extend(children(*pid));
        next += 1;
    }
    for signal in [Signal::TERM, Signal::KILL] {
        for pid in tree.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
            let _ = kill_process(pid, signal);
        }
        for _ in 0..50 {
            let ended = child.try_wait().is_ok_and(|status| status.is_some());
            if ended && !tree.iter().any(|pid| is_there(*pid)) {
                return;
            }
            thread::sleep(LOOK / 2);
        }
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Not where it has ended, and nobody has asked how.
fn is_there(pid: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    text.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// Bytes of the files below a directory, or a little more than `most`.
fn size(dir: &Path, most: u64) -> u64 {
    let (mut bytes, mut waiting) = (0, vec![dir.to_owned()]);
    while let Some(path) = waiting.pop() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            match metadata.is_dir() {
                true => waiting.push(entry.path()),
                false => bytes += metadata.blocks() * 512,
            }
            if bytes > most {
                return bytes;
            }
        }
    }
    bytes
}

/// Whether the files of a commit, as `git ls-tree -r -l -z` lists them, are no more than is taken.
pub fn fits(list: &[u8]) -> Result<(), String> {
    let mut bytes = 0_u64;
    for line in list.split(|byte| *byte == 0) {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { continue };
        let text = String::from_utf8_lossy(line.get(..tab).unwrap_or_default()).into_owned();
        // mode, type, id, and the size, which a submodule does not have
        let size = text.split_whitespace().nth(3).and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
        bytes = bytes.saturating_add(size);
    }
    match bytes > MOST_BYTES {
        true => Err(format!(
            "the files of the commit have {}, and no more than {} are taken",
            human(bytes),
            human(MOST_BYTES)
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, dir: &Path, seconds: u64) -> Result<Output, Stopped> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(dir);
        run(command, dir, Instant::now() + Duration::from_secs(seconds))
    }

    #[test]
    fn what_ends_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let output = sh("echo out; echo err >&2; exit 3", dir.path(), 30).unwrap();
        assert_eq!(
            (output.stdout, output.stderr, output.status.code()),
            (b"out\n".to_vec(), b"err\n".to_vec(), Some(3))
        );
    }

    #[test]
    fn too_long_too_much_and_too_large() {
        let dir = tempfile::tempdir().unwrap();
        let began = Instant::now();
        assert!(matches!(sh("exec sleep 600", dir.path(), 1), Err(Stopped::Early(_))));
        assert!(matches!(sh("exec cat /dev/zero", dir.path(), 60), Err(Stopped::Large(_))));
        // One file by its limit, many by the look at all.
        let one = "truncate -s 600M one 2>&1 || { echo 'write error: File too large' >&2; exit 1; }";
        assert!(matches!(sh(one, dir.path(), 60), Err(Stopped::Large(_))));
        let many = "for n in 1 2 3 4 5 6 7 8 9; do fallocate -l 64M $n; done; exec sleep 600";
        assert!(matches!(sh(many, dir.path(), 60), Err(Stopped::Large(_))));
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    }

    /// As git's helpers are, whom no signal to git reaches.
    #[test]
    fn what_it_has_started_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let script = "sh -c 'sleep 600 & echo $! >deep; wait' & echo $! >one; exec sleep 600";
        assert!(matches!(sh(script, dir.path(), 1), Err(Stopped::Early(_))));
        for name in ["one", "deep"] {
            let pid = fs::read_to_string(dir.path().join(name)).unwrap();
            assert!(!is_there(pid.trim().parse().unwrap()), "{name} runs");
        }
    }

    #[test]
    fn memory_has_a_bound() {
        let dir = tempfile::tempdir().unwrap();
        let output = sh("ulimit -d; ulimit -f", dir.path(), 30).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1048576\n1048576\n");
    }

    #[test]
    fn the_size_of_a_commit() {
        let list = b"100644 blob 0123      12\ta\x00160000 commit 4567       -\tb\x00100644 blob 89ab 400000000\tc\0";
        assert!(fits(list).is_ok() && fits(b"").is_ok());
        let twice = [&list[..], list].concat();
        assert!(fits(&twice).unwrap_err().contains("no more than"));
    }
}

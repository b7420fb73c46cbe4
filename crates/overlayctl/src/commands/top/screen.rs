// SPDX-License-Identifier: GPL-2.0-or-later
//! The terminal while `top` has it; it gets back what it had, however `top` ends.

use crate::output::out::for_terminal;
use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use overlayroot_core::value::diagnostics::plain;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

/// Another screen, and no cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The time is over, or the screen has another size.
    ByTime,
    /// A signal, or the key q.
    ToEnd,
}

/// The terminal, or plain output.
pub struct Screen {
    whole: bool,
    /// What the keyboard was like.
    keyboard: Option<Termios>,
    signals: SignalFd,
}

impl Screen {
    /// Takes the terminal, if `whole`. From here on signals wait until they are asked for.
    ///
    /// # Errors
    /// Those of blocking signals and of writing.
    pub fn new(whole: bool) -> Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGWINCH] {
            set.add(signal);
        }
        if whole {
            // stopped, it would leave its screen to the shell
            set.add(Signal::SIGTSTP);
        }
        set.thread_block().context("blocking signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&set, flags).context("asking for signals")?;
        let mut screen = Self { whole, keyboard: None, signals };
        if whole {
            screen.keyboard = keys();
            let mut out = io::stdout();
            out.write_all(ENTER).and_then(|()| out.flush()).context("writing to the terminal")?;
        }
        Ok(screen)
    }

    /// Lines there are.
    pub fn rows(&self) -> Option<usize> {
        self.size().map(|(rows, _)| rows)
    }

    fn size(&self) -> Option<(usize, usize)> {
        let size = tcgetwinsize(io::stdout()).ok().filter(|_| self.whole)?;
        Some((usize::from(size.ws_row), usize::from(size.ws_col))).filter(|(rows, columns)| *rows > 0 && *columns > 0)
    }

    /// Shows a page in place of the one before, or below it.
    ///
    /// # Errors
    /// Those of writing.
    pub fn show(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout();
        let page = match (self.whole, self.size()) {
            (false, _) if for_terminal() => format!("{}\n", plain(text)),
            (false, _) => format!("{text}\n"),
            (true, size) => fitted(text, size.unwrap_or((24, 80))),
        };
        out.write_all(page.as_bytes())?;
        out.flush()
    }

    /// Waits, and hears signals and keys meanwhile.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn wait(&mut self, pause: Duration) -> Result<Woken> {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec { tv_sec: i64::try_from(left.as_secs())?, tv_nsec: left.subsec_nanos().into() };
            let stdin = io::stdin();
            let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
            if self.keyboard.is_some() {
                fds.push(PollFd::new(&stdin, PollFlags::IN));
            }
            poll(&mut fds, Some(&timeout)).context("waiting")?;
            let key = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
            drop(fds);
            while let Some(signal) = self.signals.read_signal().context("reading signals")? {
                match Signal::try_from(i32::try_from(signal.ssi_signo)?) {
                    Ok(Signal::SIGWINCH) => return Ok(Woken::ByTime),
                    Ok(Signal::SIGTSTP) => {}
                    _ => return Ok(Woken::ToEnd),
                }
            }
            if key && ends(&stdin) {
                return Ok(Woken::ToEnd);
            }
            if Instant::now() >= until {
                return Ok(Woken::ByTime);
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.whole {
            let mut out = io::stdout();
            let _ = out.write_all(LEAVE).and_then(|()| out.flush());
        }
        if let Some(before) = &self.keyboard {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

/// Has the keyboard give each key at once, unseen; what it was before.
fn keys() -> Option<Termios> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).ok().filter(|_| stdin.is_terminal())?;
    let mut now = before.clone();
    now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Now, &now).ok().map(|()| before)
}

/// Whether q was among the keys, or the keyboard is gone.
fn ends(mut stdin: &io::Stdin) -> bool {
    let mut keys = [0; 16];
    match stdin.read(&mut keys) {
        Ok(0) => true,
        Ok(len) => keys.iter().take(len).any(|key| matches!(key, b'q' | b'Q')),
        Err(_) => true,
    }
}

/// The page, cut to the screen, over what was there.
fn fitted(text: &str, (rows, columns): (usize, usize)) -> String {
    let mut page = String::from("\x1b[H");
    for (number, line) in text.lines().take(rows).enumerate() {
        if number > 0 {
            page.push_str("\r\n");
        }
        page.extend(plain(line).chars().take(columns));
        page.push_str("\x1b[K");
    }
    page.push_str("\x1b[J");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_fits_its_screen() {
        assert_eq!(fitted("one\nlonger\nlast", (2, 4)), "\x1b[Hone\x1b[K\r\nlong\x1b[K\x1b[J");
        assert_eq!(fitted("/a\x1b[2J", (1, 20)), "\x1b[H/a\\u{1b}[2J\x1b[K\x1b[J");
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! A server that means ill, for `overlayctl pull`: it never ends, or sends what has no end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// How it means ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evil {
    /// A byte each 50 ms, for ever, by HTTP: no time without any is long enough to be noticed.
    Trickle,
    /// The same by git's own protocol.
    TrickleGit,
    /// Takes the connection, and says nothing, by git's own protocol.
    SilentGit,
    /// Names of branches without end.
    Names,
    /// A pack with more and more in it.
    Pack,
    /// A pack that says it has four thousand million objects.
    Count,
    /// A pack with a trickle of bytes.
    SlowPack,
    /// One object without end, as a file: git's old protocol.
    Object,
}

impl Evil {
    /// The protocol in its URL.
    pub fn scheme(self) -> &'static str {
        if matches!(self, Self::TrickleGit | Self::SilentGit) { "git" } else { "http" }
    }

    /// Starts it at that port.
    ///
    /// # Panics
    /// Where the port is taken.
    pub fn start(self, port: u16) {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The other end goes away at some time.
                thread::spawn(move || drop(self.answer(stream)));
            }
        });
    }

    fn answer(self, mut to: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(to.try_clone()?);
        if self.scheme() == "git" {
            reader.read_exact(&mut [0; 4])?;
            if self == Self::SilentGit {
                loop {
                    thread::sleep(Duration::from_secs(1));
                }
            }
            to.write_all(b"fff0")?;
            return trickle(&mut to);
        }
        let (mut asked, mut length) = (String::new(), 0);
        reader.read_line(&mut asked)?;
        for line in reader.by_ref().lines() {
            let line = line?.to_ascii_lowercase();
            if let Some(number) = line.strip_prefix("content-length: ") {
                length = number.parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        match self {
            Self::Object => old_protocol(&mut to, &asked),
            _ if asked.starts_with("POST") => self.pack(&mut to),
            _ => self.names(&mut to),
        }
    }

    fn names(self, to: &mut TcpStream) -> std::io::Result<()> {
        head(to, "application/x-git-upload-pack-advertisement")?;
        to.write_all(b"001e# service=git-upload-pack\n0000")?;
        if self == Self::Trickle {
            to.write_all(b"fff0")?;
            return trickle(to);
        }
        to.write_all(&line(&format!("{ID} HEAD\0 ofs-delta symref=HEAD:refs/heads/main\n")))?;
        if self == Self::Names {
            let many = line(&format!("{ID} refs/heads/{}\n", "x".repeat(900))).repeat(500);
            return endless(to, &many);
        }
        to.write_all(&line(&format!("{ID} refs/heads/main\n")))?;
        to.write_all(b"0000")
    }

    fn pack(self, to: &mut TcpStream) -> std::io::Result<()> {
        head(to, "application/x-git-upload-pack-result")?;
        to.write_all(b"0008NAK\nPACK\0\0\0\x02")?;
        let count: u32 = if self == Self::Count { u32::MAX } else { 100_000 };
        to.write_all(&count.to_be_bytes())?;
        if self == Self::SlowPack {
            // A file of 2 MiB that is not compressed.
            to.write_all(b"\xb0\x80\x80\x08\x78\x01")?;
            to.write_all(b"\0\xff\xff\0\0")?;
            return trickle(to);
        }
        endless(to, &object())
    }
}

const ID: &str = "1111111111111111111111111111111111111111";

fn head(to: &mut TcpStream, kind: &str) -> std::io::Result<()> {
    write!(to, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n")
}

fn line(text: &str) -> Vec<u8> {
    format!("{:04x}{text}", text.len() + 4).into_bytes()
}

fn endless(to: &mut TcpStream, piece: &[u8]) -> std::io::Result<()> {
    loop {
        to.write_all(piece)?;
    }
}

fn trickle(to: &mut TcpStream) -> std::io::Result<()> {
    loop {
        to.write_all(b"a")?;
        thread::sleep(Duration::from_millis(50));
    }
}

/// A file of 65,535 zeros in a pack: not compressed, so that it takes room (RFC 1950, RFC 1951).
fn object() -> Vec<u8> {
    let zeros = vec![0; 65_535];
    // Two sums over the zeros, by the prime 65,521: 1, and how many of them.
    let sum = ((65_535_u32 % 65_521) << 16) | 1;
    [&b"\xbf\xff\x1f\x78\x01\x01\xff\xff\0\0"[..], &zeros, &sum.to_be_bytes()].concat()
}

fn old_protocol(to: &mut TcpStream, asked: &str) -> std::io::Result<()> {
    if asked.contains("/info/refs") {
        head(to, "text/plain")?;
        return to.write_all(format!("{ID}\trefs/heads/main\n").as_bytes());
    }
    if asked.contains("/HEAD") {
        head(to, "text/plain")?;
        return to.write_all(b"ref: refs/heads/main\n");
    }
    if !asked.contains("/objects/11/") {
        return to.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    head(to, "application/x-git-loose-object")?;
    to.write_all(b"\x78\x01")?;
    endless(to, &[&b"\0\xff\xff\0\0"[..], &vec![b'z'; 65_535]].concat())
}

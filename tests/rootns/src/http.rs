// SPDX-License-Identifier: GPL-2.0-or-later
//! A web server in a network of the test's own, which has nothing but the loopback device: well-behaved or not.

use crate::run;
use nix::sched::{CloneFlags, unshare};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How a path answers.
#[derive(Clone)]
pub enum Reply {
    /// With this body.
    Body(Vec<u8>),
    /// The same, without saying how long it is.
    Endless(Vec<u8>),
    /// With this status.
    Status(&'static str),
    /// With another place.
    Redirect(String),
    /// With so many bytes of the body that it announces.
    Short(Vec<u8>, usize),
    /// With so many bytes, and then with silence.
    Stalls(Vec<u8>, usize),
    /// First with a broken connection, so often, then with the body.
    Flaky(Vec<u8>, usize),
    /// First with so many bytes of the body that it announces, then with what is asked for of it.
    Cut(Vec<u8>, usize),
}

/// A server; every request is kept.
pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    replies: Arc<Mutex<HashMap<String, Reply>>>,
    requests: Arc<Mutex<Vec<String>>>,
    ranges: Arc<Mutex<Vec<usize>>>,
}

/// A network without anybody else for this thread and what it starts.
pub fn private_network() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
    run("ip", &["link", "set", "lo", "up"]);
}

impl Server {
    /// Starts one.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let (replies, requests, ranges) = (Arc::default(), Arc::default(), Arc::default());
        let server =
            Self { url, replies: Arc::clone(&replies), requests: Arc::clone(&requests), ranges: Arc::clone(&ranges) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (replies, requests, ranges) = (Arc::clone(&replies), Arc::clone(&requests), Arc::clone(&ranges));
                thread::spawn(move || answer(stream, &replies, &requests, &ranges));
            }
        });
        server
    }

    /// Answers `path` so.
    pub fn at(&self, path: &str, reply: Reply) -> String {
        self.replies.lock().expect("no panic").insert(path.to_owned(), reply);
        format!("{}{path}", self.url)
    }

    /// From which byte on something was asked for, where only the rest was.
    pub fn ranges(&self) -> Vec<usize> {
        self.ranges.lock().expect("no panic").clone()
    }

    /// The paths that were asked for so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

fn answer(
    mut stream: TcpStream,
    replies: &Mutex<HashMap<String, Reply>>,
    requests: &Mutex<Vec<String>>,
    ranges: &Mutex<Vec<usize>>,
) {
    let mut lines = BufReader::new(stream.try_clone().expect("the stream")).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    // To the empty line: a connection that is closed with something unread is reset.
    let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let behind = head.iter().find_map(|line| line.strip_prefix("Range: bytes=")?.strip_suffix('-')?.parse().ok());
    ranges.lock().expect("no panic").extend(behind);
    let mut requests = requests.lock().expect("no panic");
    let before = requests.iter().filter(|other| **other == path).count();
    requests.push(path.clone());
    drop(requests);
    let reply = replies.lock().expect("no panic").get(&path).cloned();
    // The other end may go away at any time.
    let reply = reply.unwrap_or(Reply::Status("404 Not Found"));
    let _ = match (reply, behind) {
        (Reply::Cut(body, _), Some(from)) => rest(&mut stream, &body, from),
        (reply, _) => send(&mut stream, reply, before),
    };
}

/// The body from a byte on (RFC 9110, 15.3.7).
fn rest(stream: &mut TcpStream, body: &[u8], from: usize) -> std::io::Result<()> {
    let (len, all) = (body.len() - from, body.len());
    let range = format!("Content-Range: bytes {from}-{}/{all}\r\nContent-Length: {len}", all - 1);
    stream.write_all(format!("HTTP/1.1 206 Partial Content\r\n{range}\r\nConnection: close\r\n\r\n").as_bytes())?;
    stream.write_all(&body[from..])
}

fn send(stream: &mut TcpStream, reply: Reply, before: usize) -> std::io::Result<()> {
    let head = |len: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n");
    match reply {
        Reply::Body(body) => {
            stream.write_all(head(body.len()).as_bytes())?;
            stream.write_all(&body)
        }
        Reply::Endless(body) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            stream.write_all(&body)
        }
        Reply::Status(status) => {
            stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
        }
        Reply::Redirect(to) => stream.write_all(
            format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        ),
        Reply::Short(body, much) => {
            stream.write_all(head(body.len()).as_bytes())?;
            stream.write_all(&body[..much])
        }
        Reply::Stalls(body, much) => {
            stream.write_all(head(body.len()).as_bytes())?;
            stream.write_all(&body[..much])?;
            stream.flush()?;
            thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Reply::Cut(body, much) if before == 0 => send(stream, Reply::Short(body, much), before),
        Reply::Cut(body, _) => send(stream, Reply::Body(body), before),
        Reply::Flaky(_, times) if before < times => Ok(()),
        Reply::Flaky(body, _) => send(stream, Reply::Body(body), before),
    }
}

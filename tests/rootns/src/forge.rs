// SPDX-License-Identifier: GPL-2.0-or-later
//! A forge for `overlayctl pull`: a real repository with real signatures, below `/run` so that it is seen in the
//! merged root as well, and a web server for it in a network of the test's own.

use crate::run;
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Where it is.
pub const AT: &str = "/run/forge";
/// URL of the repository without a server.
pub const FILE: &str = "file:///run/forge/nodes.git";
const WORK: &str = "/run/forge/work";

/// The repository: `nodes.git`, made from `work`. Keys: `ops` is allowed to sign, `other` is not.
pub struct Forge;

impl Forge {
    /// An empty one, and `/etc/signers` in the merged root, which must be there.
    pub fn new() -> Self {
        // ssh-keygen wants to know who it is.
        for etc in ["/etc", "/sysroot/etc"] {
            fs::write(format!("{etc}/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("passwd");
        }
        fs::create_dir(AT).expect("the forge");
        for key in ["ops", "other"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", &format!("{AT}/{key}")]);
        }
        let public = fs::read_to_string(format!("{AT}/ops.pub")).expect("the public key");
        fs::write("/sysroot/etc/signers", format!("ops@x namespaces=\"git\" {public}")).expect("signers");
        run("git", &["init", "-q", "-b", "main", WORK]);
        run("git", &["init", "-q", "-b", "main", "--bare", &format!("{AT}/nodes.git")]);
        Self
    }

    /// git in the working tree, without the machine's configuration.
    pub fn git(&self, key: Option<&str>, args: &[&str]) -> String {
        let mut command = Command::new("git");
        let key = key.map_or(String::new(), |key| format!("user.signingKey={AT}/{key}"));
        for setting in ["user.name=n", "user.email=n@x", "gpg.format=ssh", key.as_str()] {
            command.args(["-c", setting].iter().filter(|_| !setting.is_empty()));
        }
        let output = command.args(args).current_dir(WORK).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", AT).output();
        let output = output.expect("git");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A file of the working tree.
    pub fn file(&self, name: &str, mode: u32, text: &str) {
        let path = format!("{WORK}/{name}");
        fs::create_dir_all(path.rsplit_once('/').expect("a directory").0).expect("its directory");
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
    }

    /// A script that writes its name into `/ran`, and what else it does.
    pub fn script(&self, name: &str, more: &str) {
        self.file(&format!("overlayroot.d/{name}"), 0o755, &format!("#!/bin/sh\necho {name} >> /ran\n{more}\n"));
    }

    /// Commits everything, signed or not, and gives back the commit's id.
    pub fn commit(&self, key: Option<&str>) -> String {
        self.git(None, &["add", "-A"]);
        let sign = if key.is_some() { "-S" } else { "--no-gpg-sign" };
        self.git(key, &["commit", "-q", "--allow-empty", "-m", "message", sign]);
        self.publish();
        self.git(None, &["rev-parse", "HEAD"])
    }

    /// An annotated tag, signed or not.
    pub fn tag(&self, name: &str, key: Option<&str>) {
        self.git(key, &["tag", if key.is_some() { "-s" } else { "-a" }, "-m", name, name]);
        self.publish();
    }

    /// What the working tree has, for others to see; also for servers without git.
    pub fn publish(&self) {
        self.git(None, &["push", "-q", "--mirror", &format!("{AT}/nodes.git")]);
        run("git", &["-C", &format!("{AT}/nodes.git"), "update-server-info"]);
    }
}

impl Default for Forge {
    fn default() -> Self {
        Self::new()
    }
}

/// A network without anybody else for this thread and what it starts.
pub fn own_network() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
    run("ip", &["link", "set", "lo", "up"]);
}

/// How the web server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With files: git's old protocol.
    Dumb,
    /// By git http-backend.
    Smart,
    /// Not at all, and holds the connection.
    Silent,
}

/// A web server for the forge.
pub struct Web {
    /// What was asked for: method and path.
    pub requests: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Starts it at that port.
    pub fn start(kind: Kind, port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port");
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                // The other end may go away at any time.
                thread::spawn(move || drop(answer(stream, kind, &log)));
            }
        });
        Self { requests }
    }
}

/// A server with TLS that sends whoever asks for the repository elsewhere.
pub struct Secure(Child);

impl Secure {
    /// Its certificate, which is also who vouches for it.
    pub const CERTIFICATE: &str = "/run/forge/tls/cert.pem";

    /// Starts it at that port.
    pub fn start(port: u16, to: &str) -> Self {
        let dir = format!("{AT}/tls");
        fs::create_dir(&dir).expect("its directory");
        let (key, cert) = (format!("{dir}/key.pem"), Self::CERTIFICATE);
        let conf = format!("{dir}/openssl.cnf");
        fs::write(&conf, "[req]\ndistinguished_name = none\n[none]\n").expect("its configuration");
        let make = ["req", "-config", &conf, "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
        let name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", &key, "-out", cert];
        run("openssl", &[make.as_slice(), &name].concat());
        // With -HTTP a file is a whole reply, and its name all that was asked for.
        fs::create_dir_all(format!("{dir}/nodes.git/info")).expect("its directories");
        let reply = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        fs::write(format!("{dir}/nodes.git/info/refs?service=git-upload-pack"), reply).expect("its reply");
        let mut command = Command::new("openssl");
        command.args(["s_server", "-HTTP", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-key", &key]);
        command.args(["-cert", cert]).current_dir(dir).env("OPENSSL_CONF", conf).stdin(Stdio::null());
        let server = Self(command.spawn().expect("openssl s_server"));
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("the server with TLS did not start");
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answer(mut stream: TcpStream, kind: Kind, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = Vec::new();
    for line in reader.by_ref().lines() {
        match line? {
            line if line.is_empty() => break,
            line => head.push(line),
        }
    }
    let mut words = head.first().cloned().unwrap_or_default();
    words.truncate(words.rfind(' ').unwrap_or(0));
    log.lock().expect("no panic").push(words.clone());
    let (method, path) = words.split_once(' ').unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let header = |name: &str| {
        let found =
            head.iter().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    match kind {
        Kind::Silent => drop(reader.read(&mut [0])),
        Kind::Dumb => {
            let reply = match fs::read(format!("{AT}{path}")) {
                Ok(body) => [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(), body],
                Err(_) => [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), Vec::new()],
            };
            stream.write_all(&reply.concat())?;
        }
        Kind::Smart => {
            let mut body = vec![0; header("Content-Length").parse().unwrap_or(0)];
            reader.read_exact(&mut body)?;
            let variables = [
                ("GIT_PROJECT_ROOT", AT.to_owned()),
                ("GIT_HTTP_EXPORT_ALL", "1".to_owned()),
                ("REQUEST_METHOD", method.to_owned()),
                ("PATH_INFO", path.to_owned()),
                ("QUERY_STRING", query.to_owned()),
                ("CONTENT_TYPE", header("Content-Type")),
                ("HTTP_CONTENT_ENCODING", header("Content-Encoding")),
                ("GIT_PROTOCOL", header("Git-Protocol")),
            ];
            stream.write_all(&backend(&variables, &body))?;
        }
    }
    Ok(())
}

/// One request by CGI.
fn backend(variables: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let mut command = Command::new("git");
    command.arg("http-backend").envs(variables.iter().cloned()).env("CONTENT_LENGTH", body.len().to_string());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("git http-backend");
    child.stdin.take().expect("its input").write_all(body).expect("writing to it");
    let reply = child.wait_with_output().expect("its reply").stdout;
    let text = String::from_utf8_lossy(&reply);
    let status = text.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    [format!("HTTP/1.1 {status}\r\nConnection: close\r\n").into_bytes(), reply].concat()
}

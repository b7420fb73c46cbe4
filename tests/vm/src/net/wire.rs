// SPDX-License-Identifier: GPL-2.0-or-later
//! The network of a case: a namespace of its own with a bridge, and a tap on it for each machine. Nothing else is in
//! it, so nothing leaves it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::host;

/// Makes `$1` taps; ends with its input.
const MAKE: &str = r#"
ip link add br0 type bridge forward_delay 0
ip link set br0 up
for number in $(seq 0 "$1"); do
    ip tuntap add "tap$number" mode tap
    ip link set "tap$number" master br0 up
done
echo ready
exec cat
"#;

/// A network; it ends with this value.
#[derive(Debug)]
pub struct Wire {
    holder: Child,
    /// Closed at the end.
    _input: ChildStdin,
}

/// One end of the network, for one machine.
#[derive(Clone, Debug)]
pub struct Cable {
    /// The file that is the network's namespace.
    pub namespace: PathBuf,
    /// The interface there.
    pub tap: String,
    /// Address of the machine's card.
    pub mac: String,
}

impl Wire {
    /// Makes one for a server and so many nodes.
    ///
    /// # Errors
    /// When the kernel has no bridge or no taps.
    pub fn new(nodes: usize) -> Result<Self> {
        let mut command = host::tied(Path::new("unshare"));
        command.args(["--net", "--", "sh", "-euc", MAKE, "sh", &nodes.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().context("a network of the case's own")?;
        let input = holder.stdin.take().context("no pipe")?;
        let mut said = BufReader::new(holder.stdout.take().context("no pipe")?);
        let wire = Self { holder, _input: input };
        let mut line = String::new();
        said.read_line(&mut line)?;
        ensure!(line == "ready\n", "no bridge with taps (ip-link(8), ip-tuntap(8)): see above");
        Ok(wire)
    }

    /// The server's.
    #[must_use]
    pub fn server(&self) -> Cable {
        self.cable(0, "52:54:00:99:00:01".to_owned())
    }

    /// That of a node, from 1.
    #[must_use]
    pub fn node(&self, number: usize) -> Cable {
        self.cable(number, format!("52:54:00:99:01:{number:02x}"))
    }

    fn cable(&self, number: usize, mac: String) -> Cable {
        let namespace = PathBuf::from(format!("/proc/{}/ns/net", self.holder.id()));
        Cable { namespace, tap: format!("tap{number}"), mac }
    }
}

/// Runs what its arguments say in the network at the end of a cable; without one in a network with nothing in it, where
/// what is sent goes nowhere.
pub(crate) fn inside(cable: Option<&Cable>) -> Command {
    let Some(cable) = cable else {
        let mut command = host::tied(Path::new("unshare"));
        command.args(["--net", "--"]);
        return command;
    };
    let mut command = host::tied(Path::new("nsenter"));
    command.arg(format!("--net={}", cable.namespace.display())).arg("--");
    command
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

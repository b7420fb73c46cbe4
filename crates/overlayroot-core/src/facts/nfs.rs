// SPDX-License-Identifier: GPL-2.0-or-later
//! A root on NFS that many machines share. NFS 4.1 and later tell clients apart by the name they give themselves,
//! which is the hostname unless somebody says more; in an initramfs that is the same for all, and the server takes
//! each mount for a restart of the one machine and throws away what it holds for the other
//! (Linux Documentation/filesystems/nfs/client-identifier.rst).

use crate::facts::Node;
use crate::parse::cmdline::Arg;

/// Where modprobe(8) reads what the module `nfs` is given.
pub const OPTIONS: &str = "/run/modprobe.d/overlayroot-rs.conf";
/// Bytes; `NFS4_CLIENT_ID_UNIQ_LEN` of Linux less the NUL.
const MOST: usize = 63;

/// Whether the root is on NFS, or may turn out to be, and the command line does not name the client.
pub fn is_unnamed(args: &[Arg]) -> bool {
    let named = |arg: &Arg| arg.key.eq_ignore_ascii_case(b"nfs.nfs4_unique_id");
    args.iter().any(is_nfs) && !args.iter().any(named)
}

fn is_nfs(arg: &Arg) -> bool {
    let value = arg.value.as_deref().unwrap_or_default();
    let begins = [&b"nfs:"[..], b"nfs4:", b"/dev/nfs"].iter().any(|begin| value.starts_with(begin));
    let open = [&b"dhcp"[..], b"dhcp6", b"either6", b"nfs", b"nfs4"].contains(&value);
    matches!(arg.key.as_slice(), b"root" | b"netroot") && (begins || open)
}

/// Whether an extended attribute is the server's ACL of a file, which NFS shows of every one. No other file system has
/// such, so no upper can; the mode is beside it.
pub fn is_acl(name: &str) -> bool {
    // nfs4_acl, and from Linux 5.18 on nfs4_dacl and nfs4_sacl (fs/nfs/nfs4proc.c)
    name.starts_with("system.nfs4_")
}

/// The line for [`OPTIONS`], with what is known of the machine; `otherwise` where that is nothing.
pub fn options(node: &Node, otherwise: &str) -> String {
    let known: Vec<&str> = [&node.uuid, &node.serial, &node.mac].into_iter().flatten().map(String::as_str).collect();
    let text = if known.is_empty() { otherwise.to_owned() } else { known.join("-") };
    let fits = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let name: String = text.chars().filter(fits).take(MOST).collect();
    format!("options nfs nfs4_unique_id={name}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::cmdline::{Source, lex};

    #[test]
    fn which_roots() {
        let unnamed = |text: &str| is_unnamed(&lex(&[Source::new("c", text)]));
        for yes in
            ["root=nfs:10.0.0.1:/x:ro", "root=nfs4:s:/x", "root=dhcp", "root=/dev/nfs nfsroot=/x", "netroot=nfs:s:/x"]
        {
            assert!(unnamed(yes), "{yes}");
        }
        for no in ["root=LABEL=root", "root=live:nfs:x", "root=nfs:s:/x nfs.nfs4_unique_id=a", "nfs:s", "root=nbd:s:x"]
        {
            assert!(!unnamed(no), "{no}");
        }
    }

    #[test]
    fn an_acl_of_the_server_is_not_the_files_own() {
        assert!(["system.nfs4_acl", "system.nfs4_dacl", "system.nfs4_sacl"].iter().all(|name| is_acl(name)));
        for own in ["system.posix_acl_access", "system.posix_acl_default", "security.selinux", "user.nfs4_acl"] {
            assert!(!is_acl(own), "{own}");
        }
    }

    #[test]
    fn names() {
        let node = |uuid: Option<&str>, serial: Option<&str>| Node {
            uuid: uuid.map(str::to_owned),
            serial: serial.map(str::to_owned),
            ..Node::default()
        };
        assert_eq!(options(&node(Some("u-1"), Some("S 2\n'")), "r"), "options nfs nfs4_unique_id=u-1-S2\n");
        assert_eq!(options(&node(None, None), "r-9"), "options nfs nfs4_unique_id=r-9\n");
        assert_eq!(options(&node(None, Some(&"x".repeat(99))), "").len(), "options nfs nfs4_unique_id=".len() + 63 + 1);
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! Entries of systemd's journal in its native form (systemd: docs/JOURNAL_NATIVE_PROTOCOL.md). Must not send them.

use crate::watch::levels::FillLevel;

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// `MESSAGE_ID` of the entry for a level that the upper's fill has come to. Never changed: scripts look for them.
pub fn message_id(level: FillLevel) -> &'static str {
    match level {
        FillLevel::Fine => "bab07107256445fcbc80239c16baa71a",
        FillLevel::Warning => "27287f8d36354f40b0d6aae5b5b25f6e",
        FillLevel::Critical => "1089deaf39124c55b336bfb9d200c84b",
    }
}

/// Its priority, as syslog counts.
pub fn priority(level: FillLevel) -> u8 {
    match level {
        FillLevel::Fine => 5,
        FillLevel::Warning => 4,
        FillLevel::Critical => 2,
    }
}

/// One entry as a datagram. A name that comes twice has both values.
pub fn entry(fields: &[(&str, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.extend(name.as_bytes());
        if value.contains('\n') {
            bytes.push(b'\n');
            bytes.extend((value.len() as u64).to_le_bytes());
        } else {
            bytes.push(b'=');
        }
        bytes.extend(value.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_line_ends_have_their_length_before_them() {
        let entry = entry(&[("MESSAGE", "full".into()), ("A", "x\ny".into()), ("A", "=".into())]);
        assert_eq!(entry, b"MESSAGE=full\nA\n\x03\0\0\0\0\0\0\0x\ny\nA==\n");
    }

    #[test]
    fn each_level_has_an_id_of_its_own() {
        let ids = [FillLevel::Fine, FillLevel::Warning, FillLevel::Critical].map(message_id);
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
        for id in ids {
            assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
        }
    }
}

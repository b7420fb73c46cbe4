// SPDX-License-Identifier: GPL-2.0-or-later
//! What `overlayctl` asks the next boot for: a small JSON file beside the upper
//! (docs/reference/storage-layout.md). Read by hand, for a JSON parser has no other use in the initramfs.

use std::fmt;

/// What the next boot is to do with the upper, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// Begin a new upper; the old one goes to the trash.
    Reset,
    /// Begin a new upper; the old one is kept under the next free name.
    Keep,
    /// Keep the upper under the next free name, and use the kept one of this name.
    Restore(String),
}

impl Marker {
    /// Reads it; `None` where it is not understood.
    pub fn parse(text: &str) -> Option<Self> {
        let (key, value) = text.trim().strip_prefix('{')?.strip_suffix('}')?.split_once(':')?;
        match (key.trim(), value.trim()) {
            ("\"keep\"", "false") => Some(Self::Reset),
            ("\"keep\"", "true") => Some(Self::Keep),
            ("\"restore\"", name) => {
                let name = name.strip_prefix('"')?.strip_suffix('"')?;
                (!name.is_empty() && !name.contains(['"', '\\', '/'])).then(|| Self::Restore(name.to_owned()))
            }
            _ => None,
        }
    }

    /// One line for a person.
    pub fn words(&self) -> String {
        match self {
            Self::Reset => "reset; all changes will be lost".to_owned(),
            Self::Keep => "reset; the old upper will be kept".to_owned(),
            Self::Restore(name) => format!("{name} becomes the upper; the old one will be kept"),
        }
    }
}

impl fmt::Display for Marker {
    /// The file's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => write!(f, "{{\"keep\": false}}"),
            Self::Keep => write!(f, "{{\"keep\": true}}"),
            Self::Restore(name) => write!(f, "{{\"restore\": \"{name}\"}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_is_json() {
        for marker in [Marker::Reset, Marker::Keep, Marker::Restore("overlay.1".into())] {
            let text = format!("{marker}\n");
            assert_eq!(Marker::parse(&text), Some(marker));
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
        assert_eq!(Marker::parse(" {\"keep\":true} "), Some(Marker::Keep));
    }

    #[test]
    fn half_a_marker_and_hostile_names_are_nothing() {
        for bad in ["", "{}", "{\"keep\": tru", "{\"keep\": 1}", "{\"restore\": \"\"}", "{\"restore\": \"../x\"}"] {
            assert_eq!(Marker::parse(bad), None, "{bad}");
        }
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
//! Archives that no well-meaning program makes, block by block.

/// One entry.
#[derive(Clone)]
pub struct Made {
    name: Vec<u8>,
    kind: u8,
    link: Vec<u8>,
    body: Vec<u8>,
    mode: u32,
    device: (u32, u32),
    size: Option<u64>,
}

/// An entry of a kind: `0` file, `1` hard link, `2` symbolic link, `3` and `4` devices, `5` directory, `6` pipe.
pub fn made(kind: u8, name: impl AsRef<[u8]>) -> Made {
    let (name, mode) = (name.as_ref().to_vec(), if kind == b'5' { 0o755 } else { 0o644 });
    Made { name, kind, link: Vec::new(), body: Vec::new(), mode, device: (0, 0), size: None }
}

impl Made {
    /// With this content.
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        Self { body: body.as_ref().to_vec(), ..self }
    }

    /// That points there.
    pub fn to(self, link: impl AsRef<[u8]>) -> Self {
        Self { link: link.as_ref().to_vec(), ..self }
    }

    /// With these device numbers.
    pub fn device(self, major: u32, minor: u32) -> Self {
        Self { device: (major, minor), ..self }
    }

    /// That says it has so many bytes.
    pub fn says(self, size: u64) -> Self {
        Self { size: Some(size), ..self }
    }

    fn blocks(&self) -> Vec<u8> {
        let mut block = vec![0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name[..self.name.len().min(100)]);
        put(100, format!("{:07o}", self.mode).as_bytes());
        put(108, b"0000000");
        put(116, b"0000000");
        put(124, format!("{:011o}", self.size.unwrap_or(self.body.len() as u64)).as_bytes());
        put(136, b"00000000001");
        put(156, &[self.kind]);
        put(157, &self.link[..self.link.len().min(100)]);
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}", self.device.0).as_bytes());
        put(337, format!("{:07o}", self.device.1).as_bytes());
        put(148, b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block.extend(&self.body);
        block.resize(block.len().next_multiple_of(512), 0);
        block
    }
}

/// A record of an extended header.
pub fn pax(key: &str, value: impl AsRef<[u8]>) -> Made {
    let body = [b" ", key.as_bytes(), b"=", value.as_ref(), b"\n"].concat();
    let length = (1..6).map(|digits| body.len() + digits).find(|all| all.to_string().len() + body.len() == *all);
    let record = [length.expect("a length").to_string().as_bytes(), &body].concat();
    made(b'x', "PaxHeaders/x").body(record)
}

/// The whole, with its end.
pub fn tar(entries: &[Made]) -> Vec<u8> {
    let mut whole: Vec<u8> = entries.iter().flat_map(Made::blocks).collect();
    whole.resize(whole.len() + 1024, 0);
    whole
}

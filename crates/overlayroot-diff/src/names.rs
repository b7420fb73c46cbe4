// SPDX-License-Identifier: GPL-2.0-or-later
//! The names in a directory, sorted, in one piece of memory.

use crate::stat::Type;
use rustix::fs::RawDir;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

/// Bytes that one getdents(2) may fill.
pub(crate) const BUFFER: usize = 64 * 1024;

#[derive(Clone, Copy)]
struct Name {
    from: u32,
    /// With its NUL.
    len: u16,
    kind: Type,
    upper: bool,
}

/// One name.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub name: &'a CStr,
    pub kind: Type,
    /// Whether the upper has it.
    pub upper: bool,
}

/// Names of one directory, or of several that are merged.
#[derive(Default)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    names: Vec<Name>,
    next: usize,
}

impl Names {
    /// Adds what an open directory holds, read from its beginning.
    pub fn read(&mut self, dir: BorrowedFd<'_>, upper: bool, buffer: &mut [MaybeUninit<u8>]) -> rustix::io::Result<()> {
        rustix::fs::seek(dir, rustix::fs::SeekFrom::Start(0))?;
        let mut entries = RawDir::new(dir, buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                self.push(name, Type::of(entry.file_type()), upper);
            }
        }
        Ok(())
    }

    fn push(&mut self, name: &CStr, kind: Type, upper: bool) {
        let bytes = name.to_bytes_with_nul();
        // 4 GiB of names in one directory are beyond every file system
        let (Ok(from), Ok(len)) = (u32::try_from(self.bytes.len()), u16::try_from(bytes.len())) else { return };
        self.bytes.extend_from_slice(bytes);
        self.names.push(Name { from, len, kind, upper });
    }

    /// Sorts by bytes; of the same name the upper's stays.
    pub fn sort(&mut self) {
        let bytes = &self.bytes;
        let of = |name: &Name| slice(bytes, *name);
        self.names.sort_unstable_by(|a, b| of(a).cmp(of(b)).then(b.upper.cmp(&a.upper)));
        self.names.dedup_by(|later, kept| slice(bytes, *later) == slice(bytes, *kept));
    }

    /// The number of the next name.
    pub fn advance(&mut self) -> Option<usize> {
        let number = self.next;
        self.next += 1;
        (number < self.names.len()).then_some(number)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// A name by its number.
    pub fn get(&self, number: usize) -> Option<Entry<'_>> {
        let name = *self.names.get(number)?;
        let text = CStr::from_bytes_with_nul(slice(&self.bytes, name)).ok()?;
        Some(Entry { name: text, kind: name.kind, upper: name.upper })
    }
}

fn slice(bytes: &[u8], name: Name) -> &[u8] {
    let from = name.from as usize;
    bytes.get(from..from + usize::from(name.len)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_sorted_by_bytes_and_the_uppers_name_wins() {
        let mut names = Names::default();
        for (name, upper) in [(c"b", false), (c"a", true), (c"b", true), (c"\xff", true), (c"Z", false), (c"b", false)]
        {
            names.push(name, Type::File, upper);
        }
        names.sort();
        let mut all = Vec::new();
        while let Some(number) = names.advance() {
            let entry = names.get(number).unwrap();
            all.push((entry.name.to_bytes().to_vec(), entry.upper));
        }
        let want: [(&[u8], bool); 4] = [(b"Z", false), (b"a", true), (b"b", true), (b"\xff", true)];
        assert_eq!(all, want.map(|(name, upper)| (name.to_vec(), upper)));
    }
}

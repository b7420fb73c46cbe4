// SPDX-License-Identifier: GPL-2.0-or-later
//! Patterns of `*` (any characters, also none) and `?` (one).

/// Whether a name fits a pattern; by steps in the product of both lengths at most.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last `*` does not fit: it takes one more.
    let mut back: Option<(usize, usize)> = None;
    while let Some(c) = name.get(n) {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p + 1, n));
                p += 1;
            }
            Some(want) if *want == '?' || want == c => {
                p += 1;
                n += 1;
            }
            Some(_) | None => {
                let Some((after, from)) = back else { return false };
                back = Some((after, from + 1));
                p = after;
                n = from + 1;
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By its definition.
    fn plainly(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, _) => name.is_empty(),
            (Some((b'*', rest)), _) => (0..=name.len()).any(|from| plainly(rest, &name[from..])),
            (Some((b'?', rest)), Some((_, left))) => plainly(rest, left),
            (Some((want, rest)), Some((c, left))) => want == c && plainly(rest, left),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn as_it_is_defined(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            prop_assert_eq!(fits(&pattern, &name), plainly(pattern.as_bytes(), name.as_bytes()));
        }
    }
}

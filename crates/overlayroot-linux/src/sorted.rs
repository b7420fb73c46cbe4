// SPDX-License-Identifier: GPL-2.0-or-later
//! Sorts short lists of names. By hand: each of std's sorts is an ELF's 3 KB for every type, in every initramfs.

/// Sorts.
pub fn sort<T: Ord>(items: &mut [T]) {
    shell(items.len(), &mut |first, second| {
        let wrong = items.get(first) > items.get(second);
        if wrong {
            items.swap(first, second);
        }
        wrong
    });
}

/// Shell's sort with Ciura's gaps. `order` puts two into their order, and says whether they were not.
pub fn shell(len: usize, order: &mut dyn FnMut(usize, usize) -> bool) {
    for gap in [17_961, 7983, 3548, 1577, 701, 301, 132, 57, 23, 10, 4, 1] {
        for start in gap..len {
            let mut at = start;
            while at >= gap && order(at - gap, at) {
                at -= gap;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_std_sorts() {
        let mut number = 1_u32;
        for len in [0, 1, 2, 3, 50, 3000] {
            let mut items: Vec<u32> = Vec::new();
            for _ in 0..len {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                items.push(number >> 20);
            }
            let mut want = items.clone();
            want.sort_unstable();
            sort(&mut items);
            assert_eq!(items, want);
        }
    }
}

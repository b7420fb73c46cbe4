// SPDX-License-Identifier: GPL-2.0-or-later
//! Sorting in little code. `slice::sort` is 2 to 4 KB of program for each type that is sorted, for a speed that short
//! lists of names do not need; a heap is a tenth of it, and also n log n.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The same in order. Equal ones may change places.
#[must_use]
pub fn sorted<T: Ord>(list: Vec<T>) -> Vec<T> {
    BinaryHeap::from(list).into_sorted_vec()
}

/// The same in the order of their keys; of equal keys in the order that they had.
#[must_use]
pub fn sorted_by_key<T, K: Ord>(list: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let keyed = list.into_iter().enumerate().map(|(number, item)| Keyed { key: (key(&item), number), item });
    sorted(keyed.collect()).into_iter().map(|keyed| keyed.item).collect()
}

/// Puts the first that fits before all others, which stay in their order.
pub fn to_front<T>(list: &mut Vec<T>, fits: impl Fn(&T) -> bool) {
    if let Some(at) = list.iter().position(fits) {
        let first = list.remove(at);
        list.insert(0, first);
    }
}

struct Keyed<K, T> {
    key: (K, usize),
    item: T,
}

impl<K: Ord, T> Ord for Keyed<K, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl<K: Ord, T> PartialOrd for Keyed<K, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord, T> PartialEq for Keyed<K, T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K: Ord, T> Eq for Keyed<K, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_and_equal_keys_as_they_were() {
        assert_eq!(sorted(vec!["b", "c", "a", "b"]), ["a", "b", "b", "c"]);
        assert_eq!(sorted(Vec::<u8>::new()), Vec::<u8>::new());
        let list = vec![(2, 'a'), (1, 'b'), (2, 'c'), (1, 'd'), (1, 'e')];
        let by_number = sorted_by_key(list, |one| one.0);
        assert_eq!(by_number.iter().map(|one| one.1).collect::<String>(), "bdeac");
    }

    #[test]
    fn one_goes_to_the_front_and_the_others_stay_in_order() {
        let mut list = vec!['a', 'b', 'c'];
        to_front(&mut list, |one| *one == 'x');
        assert_eq!(list, ['a', 'b', 'c']);
        to_front(&mut list, |one| *one == 'c');
        assert_eq!(list, ['c', 'a', 'b']);
    }
}

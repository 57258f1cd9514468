//! Iteration over a table that others change, without holding its lock for long.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::lock::Mutex;

/// Entries to take under one lock. It takes some ten microseconds, while entering and leaving wait.
const SLICE: usize = 256;

/// Returns all entries of a table, by number, and none twice. It may miss entries that come or go
/// during the iteration.
#[derive(Debug)]
pub(super) struct Walk<'a, T> {
    table: &'a Mutex<BTreeMap<u64, Arc<T>>>,
    last: Option<u64>,
    slice: VecDeque<Arc<T>>,
}

impl<'a, T> Walk<'a, T> {
    pub(super) const fn new(table: &'a Mutex<BTreeMap<u64, Arc<T>>>) -> Self {
        Self { table, last: None, slice: VecDeque::new() }
    }
}

impl<T> Iterator for Walk<'_, T> {
    type Item = Arc<T>;

    fn next(&mut self) -> Option<Arc<T>> {
        if self.slice.is_empty() {
            let behind = self.last.map_or(Bound::Unbounded, Bound::Excluded);
            let table = self.table.lock();
            for (number, entry) in table.range((behind, Bound::Unbounded)).take(SLICE) {
                self.last = Some(*number);
                self.slice.push_back(Arc::clone(entry));
            }
        }
        self.slice.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_stays_is_met_once() {
        let table: Mutex<BTreeMap<u64, Arc<u64>>> =
            Mutex::new((0..3 * SLICE as u64 + 7).map(|n| (2 * n, Arc::new(2 * n))).collect());
        let mut met = Vec::new();
        for entry in Walk::new(&table) {
            // Between two slices nobody holds the table.
            let mut table = table.lock();
            if *entry == 100 {
                table.remove(&1000);
                table.insert(1001, Arc::new(1001));
            }
            met.push(*entry);
        }
        let expected = (0..3 * SLICE as u64 + 7).map(|n| if n == 500 { 1001 } else { 2 * n });
        assert_eq!(met, expected.collect::<Vec<_>>());
    }
}

//! A log-linear histogram of durations: exact below 256 ns, at most 0.8 % too high above.

use std::time::Duration;

use serde::Serialize;

/// Each power of two is divided into so many buckets.
const STEPS: u64 = 128;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Counts of durations in nanoseconds; grows with the largest value seen, to 60 KiB at most.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u128,
    min: u64,
    max: u64,
}

/// The bucket of a value: the first `2 * STEPS` are the values themselves, then `STEPS` for each
/// power of two.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    (u64::from(shift) * STEPS + (value >> shift)) as usize
}

/// The largest value that falls into a bucket.
fn highest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / STEPS).saturating_sub(1);
    let step = bucket - shift * STEPS;
    // In 128 bits, for the last bucket ends at 2^64.
    u64::try_from(((u128::from(step) + 1) << shift) - 1).unwrap_or(u64::MAX)
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, value: Duration) {
        self.record_many(value, 1);
    }

    /// Counts one duration `count` times.
    pub fn record_many(&mut self, value: Duration, count: u64) {
        if count == 0 {
            return;
        }
        let value = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        let index = bucket(value);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        if let Some(slot) = self.counts.get_mut(index) {
            *slot = slot.saturating_add(count);
        }
        self.min = if self.total == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.total = self.total.saturating_add(count);
        self.sum = self.sum.saturating_add(u128::from(value) * u128::from(count));
    }

    /// Counts everything `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        if other.total == 0 {
            return;
        }
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.min = if self.total == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.total = self.total.saturating_add(other.total);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Returns the count of values.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The largest, exactly.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The value that the share `quantile` (0 to 1) of all counted do not exceed; zero if none was
    /// counted.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let rank = ((quantile.clamp(0.0, 1.0) * self.total as f64).ceil() as u64)
            .clamp(1, self.total.max(1));
        let mut seen = 0u64;
        for (index, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= rank {
                return Duration::from_nanos(highest(index).clamp(self.min, self.max));
            }
        }
        Duration::from_nanos(self.max)
    }

    /// The figures a report shows.
    pub fn summary(&self) -> Summary {
        let us = |value: Duration| value.as_nanos() as f64 / 1e3;
        Summary {
            count: self.total,
            min: self.min as f64 / 1e3,
            mean: if self.total == 0 { 0.0 } else { self.sum as f64 / self.total as f64 / 1e3 },
            p50: us(self.quantile(0.5)),
            p90: us(self.quantile(0.9)),
            p99: us(self.quantile(0.99)),
            p99_9: us(self.quantile(0.999)),
            max: us(self.max()),
        }
    }
}

/// Count, and microseconds of the usual percentiles.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// The count of values.
    pub count: u64,
    /// The smallest, in microseconds.
    pub min: f64,
    /// The mean, in microseconds.
    pub mean: f64,
    /// The median, in microseconds.
    pub p50: f64,
    /// 90 % are no longer, in microseconds.
    pub p90: f64,
    /// 99 % are no longer, in microseconds.
    pub p99: f64,
    /// 99.9 % are no longer, in microseconds.
    pub p99_9: f64,
    /// The largest, in microseconds.
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(value: u64) -> Duration {
        Duration::from_nanos(value)
    }

    #[test]
    fn every_value_lies_in_its_bucket_and_close_to_its_end() {
        let mut value = 0u64;
        while value < u64::MAX / 3 {
            let top = highest(bucket(value));
            assert!(top >= value, "{value} above its bucket's end {top}");
            assert!(
                (top - value) as f64 <= value as f64 / STEPS as f64,
                "{value} reported as {top}"
            );
            assert_eq!(bucket(top), bucket(value), "{value}");
            assert_eq!(bucket(top + 1), bucket(value) + 1, "{value}: no bucket is skipped");
            value = value + value / 97 + 1;
        }
        assert_eq!(highest(bucket(u64::MAX)), u64::MAX);
    }

    #[test]
    fn percentiles_agree_with_sorting() {
        let mut histogram = Histogram::default();
        let mut values = Vec::new();
        let mut state = 12_345u64;
        for _ in 0..10_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let value = (state >> 33) % 5_000_000;
            values.push(value);
            histogram.record(ns(value));
        }
        values.sort_unstable();
        for quantile in [0.0, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let rank = ((quantile * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1];
            let found = histogram.quantile(quantile).as_nanos() as u64;
            assert!(
                found >= exact && found as f64 <= exact as f64 * 1.008 + 1.0,
                "{quantile}: {found} for {exact}"
            );
        }
        assert_eq!(histogram.max(), ns(*values.last().expect("filled")));
    }

    #[test]
    fn merging_is_counting_both() {
        let (mut one, mut two, mut both) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for value in 0..1000u64 {
            let value = value * value * 1000;
            if value % 3 == 0 { &mut one } else { &mut two }.record(ns(value));
            both.record(ns(value));
        }
        one.merge(&two);
        one.merge(&Histogram::default());
        assert_eq!(format!("{:?}", one.summary()), format!("{:?}", both.summary()));
        assert_eq!(one.summary().min, 0.0);
    }

    #[test]
    fn nothing_counted_is_all_zero() {
        assert_eq!(Histogram::default().quantile(0.99), Duration::ZERO);
        assert_eq!(Histogram::default().summary().max, 0.0);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut histogram = Histogram::default();
        histogram.record_many(Duration::MAX, u64::MAX);
        histogram.record_many(Duration::MAX, u64::MAX);
        assert_eq!(histogram.count(), u64::MAX);
        assert_eq!(histogram.quantile(0.5), ns(u64::MAX));
    }
}

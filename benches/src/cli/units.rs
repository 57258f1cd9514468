//! Sizes and times as people write them.

use std::time::Duration;

/// A number of bytes: `512`, `64K`, `1M`, `2G`; the letters are powers of 1024.
pub(super) fn size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' | b'k' => (text.get(..text.len() - 1)?, 10),
        b'M' | b'm' => (text.get(..text.len() - 1)?, 20),
        b'G' | b'g' => (text.get(..text.len() - 1)?, 30),
        _ => (text, 0),
    };
    // `parse` would take a sign.
    let number =
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok())??;
    number.checked_mul(1 << shift)
}

/// A time: `5`, `0.5`, `5s`, `250ms`, `2m`.
pub(super) fn time(text: &str) -> Option<Duration> {
    let (digits, scale) = if let Some(digits) = text.strip_suffix("ms") {
        (digits, 1e-3)
    } else if let Some(digits) = text.strip_suffix('s') {
        (digits, 1.0)
    } else if let Some(digits) = text.strip_suffix('m') {
        (digits, 60.0)
    } else {
        (text, 1.0)
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = plain.then(|| digits.parse::<f64>().ok())??;
    Duration::try_from_secs_f64(number * scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(
            ["0", "512", "64K", "1m", "2G"].map(size),
            [0, 512, 65_536, 1 << 20, 2 << 30].map(Some)
        );
        assert_eq!(["", "K", "-1", "+1", "1.5K", "1KB", "17179869184G", "é"].map(size), [None; 8]);
    }

    #[test]
    fn times() {
        assert_eq!(
            ["5", "0.5s", "250ms", "2m"].map(time),
            [5000, 500, 250, 120_000].map(Duration::from_millis).map(Some)
        );
        assert_eq!(
            ["", "s", "-1", "1e3", "inf", "1.2.3", "99999999999999999999999m"].map(time),
            [None; 7]
        );
    }
}

//! Timestamps of log lines.

use jiff::Timestamp;
use jiff::fmt::strtime::{BrokenDownTime, Config};
use jiff::tz::TimeZone;

/// `2026-03-01 12:00:00.000042 +0100`.
const DEFAULT_FORMAT: &str = "%Y-%m-%d %H:%M:%S.%%06lu %z";

/// The form of timestamps.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// A strftime pattern, cut where the microseconds go: `(before, digits, after)`.
    before: String,
    micros: Option<usize>,
    after: String,
    zone: TimeZone,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(None, false)
    }
}

impl Clock {
    /// Makes a clock for a strftime pattern in which `%%06lu` stands for the microseconds.
    pub(super) fn new(format: Option<&str>, utc: bool) -> Self {
        let zone = if utc { TimeZone::UTC } else { TimeZone::system() };
        let format = format.unwrap_or(DEFAULT_FORMAT);
        match find_micros(format) {
            Some((at, length, digits)) => {
                let (before, rest) = format.split_at(at);
                let after = rest.get(length..).unwrap_or_default();
                Self {
                    before: before.to_owned(),
                    micros: Some(digits),
                    after: after.to_owned(),
                    zone,
                }
            }
            None => Self { before: format.to_owned(), micros: None, after: String::new(), zone },
        }
    }

    /// Appends the time to `line`.
    pub(super) fn append(&self, line: &mut Vec<u8>, time: Timestamp) {
        let broken_down = BrokenDownTime::from(&time.to_zoned(self.zone.clone()));
        append_part(line, &broken_down, &self.before);
        if let Some(digits) = self.micros {
            let micros = time.subsec_microsecond().unsigned_abs();
            line.extend_from_slice(format!("{micros:0digits$}").as_bytes());
        }
        append_part(line, &broken_down, &self.after);
    }
}

fn append_part(line: &mut Vec<u8>, time: &BrokenDownTime, format: &str) {
    if format.is_empty() {
        return;
    }
    // Lenient: a directive that is unknown appears as it was written. A timestamp is no reason to
    // lose the line.
    if let Ok(text) = time.to_string_with_config(&Config::new().lenient(true), format) {
        line.extend_from_slice(text.as_bytes());
    }
}

/// Finds `%%06lu` or a variant of it: offset, length and digits.
fn find_micros(format: &str) -> Option<(usize, usize, usize)> {
    let mut search = 0;
    while let Some(offset) = format.get(search..)?.find('%') {
        let at = search + offset;
        let rest = format.get(at + 1..)?;
        let Some(specification) = rest.strip_prefix('%') else {
            // Some other directive: a percent sign and what follows it.
            search = at + 1 + rest.chars().next().map_or(0, char::len_utf8);
            continue;
        };
        let digits: String =
            specification.chars().take_while(char::is_ascii_digit).take(2).collect();
        let tail = specification.get(digits.len()..)?;
        let longs = tail.bytes().take_while(|octet| *octet == b'l').take(2).count();
        if tail.get(longs..)?.starts_with('u') {
            return Some((
                at,
                2 + digits.len() + longs + 1,
                digits.parse::<usize>().unwrap_or(0).min(9),
            ));
        }
        search = at + 2;
    }
    None
}

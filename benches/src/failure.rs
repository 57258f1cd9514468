//! The failures of single connections: kinds, counts, and the first example of each.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde::Serialize;

/// The kinds by which failures are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The target refused the connection: no process listens.
    Refused,
    /// No route, network or host down.
    Unreachable,
    /// This machine has no free local port left for the target.
    NoLocalPort,
    /// This process may not open another descriptor.
    NoDescriptor,
    /// A step took longer than the time-out.
    Timeout,
    /// The connection was reset or broken by the other end.
    Reset,
    /// The other end closed before everything it owed had arrived.
    EarlyEnd,
    /// Bytes arrived that differ from those expected.
    Content,
    /// More or fewer bytes arrived than were sent.
    Count,
    /// The other end does not speak what the mode needs.
    Protocol,
    /// Anything else the system reported.
    Other,
}

impl Kind {
    /// The name used in JSON and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::NoLocalPort => "no_local_port",
            Self::NoDescriptor => "no_descriptor",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::EarlyEnd => "early_end",
            Self::Content => "content",
            Self::Count => "count",
            Self::Protocol => "protocol",
            Self::Other => "other",
        }
    }
}

/// One failure of one connection.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// Its kind.
    pub kind: Kind,
    /// Its text, for a person.
    pub text: String,
}

impl Failure {
    /// A failure with a text of its own.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// The system refused `step`.
    pub fn io(step: &str, error: &io::Error) -> Self {
        use io::ErrorKind as E;
        let kind = match error.kind() {
            E::ConnectionRefused => Kind::Refused,
            E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe | E::NotConnected => {
                Kind::Reset
            }
            E::HostUnreachable | E::NetworkUnreachable | E::NetworkDown => Kind::Unreachable,
            E::AddrNotAvailable | E::AddrInUse => Kind::NoLocalPort,
            E::TimedOut => Kind::Timeout,
            E::UnexpectedEof => Kind::EarlyEnd,
            _ if crate::limits::is_descriptor_shortage(error) => Kind::NoDescriptor,
            _ => Kind::Other,
        };
        Self::new(kind, format!("{step}: {error}"))
    }

    /// `step` took longer than `limit`.
    pub fn timeout(step: &str, limit: Duration) -> Self {
        Self::new(Kind::Timeout, format!("{step}: not done within {:.3} s", limit.as_secs_f64()))
    }
}

/// Failures counted by kind.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Failures {
    total: u64,
    kinds: BTreeMap<Kind, Counted>,
}

/// The count of one kind, and the text of its first failure.
#[derive(Debug, Clone, Serialize)]
pub struct Counted {
    /// The count.
    pub count: u64,
    /// The text of the first.
    pub first: String,
}

impl Failures {
    /// Counts one.
    pub fn add(&mut self, failure: Failure) {
        self.count(failure.kind, 1, failure.text);
    }

    /// Counts all of `other`.
    pub fn merge(&mut self, other: Self) {
        for (kind, counted) in other.kinds {
            self.count(kind, counted.count, counted.first);
        }
    }

    fn count(&mut self, kind: Kind, count: u64, text: String) {
        self.total = self.total.saturating_add(count);
        let entry = self.kinds.entry(kind).or_insert_with(|| Counted { count: 0, first: text });
        entry.count = entry.count.saturating_add(count);
    }

    /// Failures of all kinds.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Failures of one kind.
    pub fn of(&self, kind: Kind) -> u64 {
        self.kinds.get(&kind).map_or(0, |counted| counted.count)
    }

    /// Every kind that happened.
    pub fn kinds(&self) -> impl Iterator<Item = (Kind, &Counted)> {
        self.kinds.iter().map(|(kind, counted)| (*kind, counted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_kind_and_keeps_the_first_text() {
        let mut one = Failures::default();
        one.add(Failure::io("read", &io::ErrorKind::ConnectionReset.into()));
        let mut two = Failures::default();
        two.add(Failure::new(Kind::Reset, "second"));
        two.add(Failure::timeout("connect", Duration::from_millis(250)));
        one.merge(two);
        assert_eq!((one.total(), one.of(Kind::Reset), one.of(Kind::Timeout)), (3, 2, 1));
        let json = serde_json::to_value(&one).expect("plain data");
        assert_eq!(json["kinds"]["reset"]["first"], "read: connection reset");
        assert_eq!(json["kinds"]["timeout"]["first"], "connect: not done within 0.250 s");
    }

    #[test]
    fn descriptor_shortage_is_its_own_kind() {
        let emfile = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert_eq!(Failure::io("connect", &emfile).kind, Kind::NoDescriptor);
    }
}

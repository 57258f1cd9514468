//! Why a link between routers is not active.

use skupper_proto::amqp::performative::Error;

use crate::admin::reason::Reason;
use crate::net::{Known, LinkTrouble};
use crate::node::HANDSHAKE;
use crate::socket::{AttemptError, DialError};

/// A peer's release before this one carries services in another way.
const OLDEST_RELEASE: u64 = 3;

/// Returns why a link of an edge router is idle: another uplink is in use.
pub(super) fn stands_by(known: &Known) -> Option<Reason> {
    known.edge.as_ref().is_some_and(|edge| !edge.is_active()).then_some(Reason::StandsBy)
}

/// Returns why services do not work over a link: a peer of release 2.x passes messages, and carries
/// services in a way of its own.
pub(super) fn too_old(known: &Known) -> Option<Reason> {
    let version = known.version.as_ref()?;
    let major: u64 = version.split('.').next()?.parse().ok()?;
    // Builds outside of a release call themselves 0.0.0, and this router 0.x.
    (major > 0 && major < OLDEST_RELEASE).then(|| Reason::PeerTooOld { version: version.clone() })
}

/// Returns the reason for a failed attempt or a lost connection. `own` is this router's id.
pub(super) fn reason(trouble: &LinkTrouble, own: &str) -> Reason {
    match trouble {
        LinkTrouble::Dial(error) => dial_reason(error),
        LinkTrouble::Tls(error) => Reason::from(error),
        LinkTrouble::NoAmqp(text) => Reason::NotAmqp { got: text.clone() },
        LinkTrouble::Sasl(text) => Reason::NotAuthenticated { error: text.clone() },
        LinkTrouble::Role(text) => {
            Reason::RoleMismatch { ours: "inter-router".to_owned(), theirs: text.clone() }
        }
        LinkTrouble::OwnId => Reason::OwnRouterId { id: own.to_owned() },
        LinkTrouble::PeerHoldsFormer => Reason::PeerHoldsFormer,
        LinkTrouble::ClosedByPeer(Error { condition, description, .. }) => Reason::ClosedByPeer {
            condition: condition.to_string(),
            description: description.clone().unwrap_or_default(),
        },
        LinkTrouble::Lost(text) => Reason::Lost { error: text.clone() },
        LinkTrouble::TimedOut(what) => {
            Reason::TimedOut { stage: (*what).to_owned(), seconds: HANDSHAKE.as_secs() }
        }
    }
}

fn dial_reason(error: &DialError) -> Reason {
    match error {
        DialError::Name(error) => {
            Reason::NameNotResolved { host: error.host.clone(), error: error.failure.to_string() }
        }
        DialError::Connect { attempts, .. } => {
            let last = attempts.last();
            let address = attempts
                .iter()
                .map(|(address, _)| address.to_string())
                .collect::<Vec<_>>()
                .join(", ");
            match last.map(|(_, error)| error) {
                _ if error.is_refused() => Reason::Refused { address },
                Some(AttemptError::TimedOut(after)) => Reason::TimedOut {
                    stage: format!("TCP to {address}"),
                    seconds: after.as_secs(),
                },
                _ => Reason::Unreachable { address, error: error.to_string() },
            }
        }
    }
}

//! Requests in progress, by connection. Those of one connection follow one another, and no
//! connection has more than its share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::lock::{Mutex, MutexGuard};

/// Requests in progress of all connections together. The tools of many operators at once need a few
/// dozen, and two links of C's credit bring 500. Each connection may have one request beyond this
/// limit, so that others cannot keep it out.
pub(super) const MAX_REQUESTS: usize = 512;

/// Requests in progress of one connection. It may be a neighbor's that carries the requests of
/// many. Controllers and tools ask one thing after the other.
pub(super) const MAX_OF_CONNECTION: usize = 64;

/// KiB of responses to a connection's requests that wait to be taken: 4 MiB, or one larger
/// response.
const UNREAD: u32 = 4 * 1024;

/// Time that a response waits for those before it. Then it is dropped.
const PATIENCE: Duration = Duration::from_secs(10);

/// The lanes of all connections that have requests in progress.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    lanes: HashMap<Option<u64>, Lane>,
    requests: usize,
}

#[derive(Debug)]
struct Lane {
    turn: Arc<tokio::sync::Mutex<()>>,
    unread: Arc<Semaphore>,
    requests: usize,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error(
        "{MAX_OF_CONNECTION} requests of this connection are being carried out already; try \
         again later"
    )]
    Connection,
    #[error("{MAX_REQUESTS} requests are being carried out already; try again later")]
    All,
}

/// A request in progress. Dropping it ends the request.
#[derive(Debug)]
pub(super) struct Place {
    lanes: Arc<Lanes>,
    connection: Option<u64>,
    turn: Arc<tokio::sync::Mutex<()>>,
    unread: Arc<Semaphore>,
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock()
    }

    /// Takes a request of a connection, or of this process.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn enter(self: &Arc<Self>, connection: Option<u64>) -> Result<Place, Full> {
        let mut open = self.lock();
        let full = open.requests >= MAX_REQUESTS;
        let held = open.lanes.get(&connection).map_or(0, |lane| lane.requests);
        match connection {
            Some(_) if held >= MAX_OF_CONNECTION => return Err(Full::Connection),
            Some(_) if held == 0 => {}
            _ if full => return Err(Full::All),
            _ => {}
        }
        open.requests += 1;
        let lane = open.lanes.entry(connection).or_insert_with(|| Lane {
            turn: Arc::default(),
            unread: Arc::new(Semaphore::new(UNREAD as usize)),
            requests: 0,
        });
        lane.requests += 1;
        let (turn, unread) = (Arc::clone(&lane.turn), Arc::clone(&lane.unread));
        Ok(Place { lanes: Arc::clone(self), connection, turn, unread })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.lanes.lock();
        open.requests -= 1;
        if let Some(lane) = open.lanes.get_mut(&self.connection) {
            lane.requests -= 1;
            if lane.requests == 0 {
                open.lanes.remove(&self.connection);
            }
        }
    }
}

impl Place {
    /// Waits until the requests of its connection that came before have been answered.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Makes a message of a response, once enough of those before it have been taken. The request
    /// is in progress until the message is dropped. Returns `None` if the wait was too long.
    pub(super) async fn message(self, octets: Vec<u8>) -> Option<Bytes> {
        self.message_within(octets, PATIENCE).await
    }

    async fn message_within(self, octets: Vec<u8>, patience: Duration) -> Option<Bytes> {
        let wanted = u32::try_from(octets.len() / 1024 + 1).unwrap_or(UNREAD).min(UNREAD);
        // The semaphore is never closed.
        let room = timeout(patience, Arc::clone(&self.unread).acquire_many_owned(wanted))
            .await
            .ok()?
            .ok()?;
        Some(Bytes::from_owner(Held { octets, _room: room, _place: self }))
    }
}

/// A response that waits to be taken.
struct Held {
    octets: Vec<u8>,
    _room: OwnedSemaphorePermit,
    _place: Place,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_a_share_and_nobody_is_kept_out() {
        let lanes = Arc::new(Lanes::default());
        let mut places = Vec::new();
        for connection in 0..8 {
            places.extend((0..MAX_OF_CONNECTION).map(|_| lanes.enter(Some(connection)).unwrap()));
            assert_eq!(lanes.enter(Some(connection)).unwrap_err(), Full::Connection);
        }
        assert_eq!(places.len(), MAX_REQUESTS);
        let other = lanes.enter(Some(100)).unwrap();
        assert_eq!(lanes.enter(Some(100)).unwrap_err(), Full::All);
        assert_eq!(lanes.enter(None).unwrap_err(), Full::All);
        drop(other);
        places.pop();
        lanes.enter(Some(7)).unwrap();
        places.clear();
        let open = lanes.lock();
        assert_eq!((open.requests, open.lanes.len()), (0, 0));
    }

    #[tokio::test]
    async fn responses_that_nobody_takes_hold_back_the_next() {
        const LARGE: usize = 3 * 1024 * 1024;
        let lanes = Arc::new(Lanes::default());
        let soon = Duration::from_millis(10);
        let enter = || lanes.enter(Some(1)).unwrap();
        let first = enter().message(vec![1; LARGE]).await.unwrap();
        assert!(
            enter().message_within(vec![2; LARGE], soon).await.is_none(),
            "the first is not taken"
        );
        let small = enter().message(vec![3; 10]).await.unwrap();
        let waiting = enter();
        assert_eq!(lanes.lock().requests, 3, "in progress until they are taken");
        drop((first, small));
        // A response larger than all room waits for all of it.
        let huge = waiting.message(vec![4; 20 * LARGE]).await.unwrap();
        assert_eq!(huge.len(), 20 * LARGE);
        assert!(enter().message_within(vec![5; 10], soon).await.is_none());
    }
}

//! The management node in the network: it takes deliveries and sends responses.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{DeliveryState, Error, Rejected};
use skupper_proto::management::{MAX_REQUEST, MAX_RESPONSE, Request, Response, Status};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::directory::{Directory, Requester};
use super::handle::begin;
use super::lanes::{Full, Lanes, Place};
use super::outcome::answer;
use crate::core::{ConsumerEnd, Ended, Endpoint, Notify};
use crate::log;
use crate::schema::ManagementAccess;

/// Time that a request has from its first bytes to its last.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time that a request takes before others have their turn. Others wait this long at most, and a
/// change of turn costs nothing beside it.
const SLICE: Duration = Duration::from_millis(2);

/// Answers of more than one slice that are made at the same time. Each may take a hundred MiB while
/// it is made.
const LONG_ANSWERS: usize = 1;

/// Bytes of a refused request in which the node looks for the address of an answer.
const MAX_GLANCE: usize = 16 * 1024;

/// Sends a message, its bytes from the header section on, to an address.
pub type Outlet = Arc<dyn Fn(&str, Bytes) + Send + Sync>;

/// Takes requests as deliveries, and sends responses.
pub struct Service<D> {
    directory: Arc<D>,
    runtime: Handle,
    outlet: Outlet,
    lanes: Arc<Lanes>,
    long: Semaphore,
    itself: Weak<Self>,
}

impl<D> std::fmt::Debug for Service<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl<D: Directory + Send + Sync + 'static> Service<D> {
    /// Returns a service that carries out requests on `runtime`. Its one thread may do nothing that
    /// must not wait for them.
    pub fn new(directory: Arc<D>, runtime: Handle, outlet: Outlet) -> Arc<Self> {
        let (lanes, long) = (Arc::default(), Semaphore::new(LONG_ANSWERS));
        Arc::new_cyclic(|itself| Self {
            directory,
            runtime,
            outlet,
            lanes,
            long,
            itself: Weak::clone(itself),
        })
    }

    /// Returns the sender of a request. Call it when the request is handed over, while its
    /// connection exists.
    fn requester(&self, delivery: &ConsumerEnd) -> Requester {
        let connection = delivery.message().connection;
        let access = match connection {
            Some(id) => self.directory.access(id).unwrap_or(ManagementAccess::None),
            // A request of this process.
            None => ManagementAccess::Full,
        };
        Requester { connection, access }
    }

    /// Takes one request from its first bytes to the response.
    async fn serve(self: Arc<Self>, delivery: ConsumerEnd, requester: Requester, place: Place) {
        let octets = match timeout(PATIENCE, receive(&delivery)).await {
            Ok(Some(octets)) => octets,
            Ok(None) => return delivery.conclude(DeliveryState::Released),
            Err(_) => return delivery.conclude(DeliveryState::failed()),
        };
        let request = match Request::decode(&octets) {
            Ok(request) if request.reply_to.is_some() => request,
            Ok(_) => {
                let text = "a management request without reply-to cannot be answered and is not \
                            carried out";
                return delivery.conclude(rejected(condition::PRECONDITION_FAILED, text));
            }
            Err(malformed) => {
                let text = malformed.to_string();
                log!(Agent, Debug, "{text}");
                let outcome = rejected(condition::DECODE_ERROR, &text);
                if malformed.reply_to.is_some() {
                    let response = Response::new(
                        Status::BAD_REQUEST,
                        text,
                        skupper_proto::amqp::Value::Map(Vec::new()),
                    );
                    let response = Response {
                        to: malformed.reply_to,
                        correlation_id: malformed.correlation_id,
                        ..response
                    };
                    self.send(response, place).await;
                }
                return delivery.conclude(outcome);
            }
        };
        delivery.conclude(DeliveryState::Accepted);
        let turn = place.turn().await;
        let response = self.carry_out(&request, requester).await;
        self.directory.settled().await;
        self.send(response, place).await;
        drop(turn);
    }

    /// Carries out a request. A short one is done at once, a long one slice by slice when its turn
    /// among long answers has come.
    async fn carry_out(&self, request: &Request, requester: Requester) -> Response {
        let slice = || {
            let began = Instant::now();
            move || began.elapsed() >= SLICE
        };
        let mut work = begin(&*self.directory, request, requester);
        if let Some(response) = work.step(slice()) {
            return response;
        }
        // The semaphore is never closed.
        let _place = self.long.acquire().await;
        loop {
            yield_now().await;
            if let Some(response) = work.step(slice()) {
                return response;
            }
        }
    }

    async fn send(&self, response: Response, place: Place) {
        let Some(to) = &response.to else { return };
        let octets = Self::octets(&response);
        match place.message(octets).await {
            Some(message) => (self.outlet)(to, message),
            None => crate::log_limited!(
                (),
                Agent,
                Warning,
                "a response is dropped: those before it are not read at {to}"
            ),
        }
    }

    /// Encodes a response. A short one replaces one that is too long.
    fn octets(response: &Response) -> Vec<u8> {
        let mut octets = response.encode();
        if octets.len() > MAX_RESPONSE {
            let text = format!(
                "the response has {} octets: ask for less at a time, with offset and count",
                octets.len()
            );
            let short = Response::new(
                Status::BAD_REQUEST,
                text,
                skupper_proto::amqp::Value::Map(Vec::new()),
            );
            octets = Response {
                to: response.to.clone(),
                correlation_id: response.correlation_id.clone(),
                ..short
            }
            .encode();
        }
        octets
    }

    /// Refuses a request for which there is no room. Sends a response if the request says where to.
    fn refuse(&self, delivery: ConsumerEnd, full: Full) {
        let text = full.to_string();
        let mut chunks = VecDeque::new();
        if delivery.message().sections.len() <= MAX_GLANCE
            && let (_, Some(Ended::Complete)) = delivery.take(MAX_GLANCE, &mut chunks)
            && let Ok(request) = Request::decode(&joined(&delivery.message().sections, &chunks))
            && request.reply_to.is_some()
        {
            delivery.conclude(DeliveryState::Accepted);
            let response = answer(
                &request,
                Response::new(Status::UNAVAILABLE, text, skupper_proto::amqp::Value::Null),
            );
            return (self.outlet)(
                response.to.as_deref().unwrap_or_default(),
                Bytes::from(response.encode()),
            );
        }
        delivery.conclude(rejected(condition::RESOURCE_LIMIT_EXCEEDED, &text));
    }
}

impl<D: Directory + Send + Sync + 'static> Endpoint for Service<D> {
    fn deliver(&self, delivery: ConsumerEnd) {
        let Some(service) = self.itself.upgrade() else {
            return delivery.conclude(DeliveryState::Released);
        };
        match self.lanes.enter(delivery.message().connection) {
            Ok(place) => {
                let requester = self.requester(&delivery);
                drop(self.runtime.spawn(service.serve(delivery, requester, place)));
            }
            Err(full) => self.refuse(delivery, full),
        }
    }
}

fn rejected(condition: &'static str, text: &str) -> DeliveryState {
    DeliveryState::Rejected(Rejected { error: Some(Error::new(condition, text.to_owned())) })
}

fn joined(sections: &[u8], chunks: &VecDeque<Bytes>) -> BytesMut {
    let mut octets = BytesMut::from(sections);
    chunks.iter().for_each(|chunk| octets.extend_from_slice(chunk));
    octets
}

/// Returns the bytes of a message once all are there, or more than a request may have. Returns
/// `None` for an aborted one.
async fn receive(delivery: &ConsumerEnd) -> Option<BytesMut> {
    let mut octets = BytesMut::from(&*delivery.message().sections);
    let mut chunks = VecDeque::new();
    let mut named = false;
    poll_fn(|cx| {
        if !std::mem::replace(&mut named, true) {
            delivery.set_notify(Notify::Task(cx.waker().clone()));
        }
        loop {
            let (taken, ended) = delivery.take(MAX_REQUEST, &mut chunks);
            chunks.drain(..).for_each(|chunk| octets.extend_from_slice(&chunk));
            match ended {
                Some(Ended::Complete) => return Poll::Ready(true),
                Some(Ended::Aborted) => return Poll::Ready(false),
                None if octets.len() > MAX_REQUEST => return Poll::Ready(true),
                None if taken == 0 => return Poll::Pending,
                None => {}
            }
        }
    })
    .await
    .then_some(octets)
}

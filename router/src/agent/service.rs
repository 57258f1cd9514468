//! The management node's place in the network: deliveries in, responses out.

use super::directory::Directory;
use super::handle::{answer, handle};
use crate::core::{Delivery, Ended, Endpoint, Notify};
use crate::log;
use bytes::{Bytes, BytesMut};
use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{DeliveryState, Error, Rejected};
use skupper_proto::management::{MAX_REQUEST, MAX_RESPONSE, Request, Response, Status};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Requests that are being received, carried out or answered. Beyond, they are refused: the tools of many operators at once need a few
/// dozen, and two links of C's credit bring 500.
const MAX_REQUESTS: usize = 512;

/// How long a request may take to arrive after its first octets.
const PATIENCE: Duration = Duration::from_secs(10);

/// Octets of a request that is refused unheard which are looked into for the address of an answer.
const MAX_GLANCE: usize = 16 * 1024;

/// Sends a message, its octets from the header section on, to an address.
pub type Outlet = Arc<dyn Fn(&str, Bytes) + Send + Sync>;

/// Takes requests as deliveries, and sends responses.
pub struct Service<D> {
    directory: Arc<D>,
    runtime: Handle,
    outlet: Outlet,
    requests: Arc<Semaphore>,
    itself: Weak<Self>,
}

impl<D> std::fmt::Debug for Service<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl<D: Directory + Send + Sync + 'static> Service<D> {
    /// A service that carries requests out on `runtime`, whose one thread does nothing that must not wait for them.
    pub fn new(directory: Arc<D>, runtime: Handle, outlet: Outlet) -> Arc<Self> {
        let requests = Arc::new(Semaphore::new(MAX_REQUESTS));
        Arc::new_cyclic(|itself| Self { directory, runtime, outlet, requests, itself: Weak::clone(itself) })
    }

    /// Takes one request from its first octets to the response.
    async fn serve(self: Arc<Self>, delivery: Arc<Delivery>, permit: OwnedSemaphorePermit) {
        let octets = match timeout(PATIENCE, receive(&delivery)).await {
            Ok(Some(octets)) => octets,
            Ok(None) => return delivery.outcome(Some(DeliveryState::Released), true),
            Err(_) => return delivery.outcome(Some(DeliveryState::failed()), true),
        };
        let request = match Request::decode(&octets) {
            Ok(request) if request.reply_to.is_some() => request,
            Ok(_) => {
                let text = "a management request without reply-to cannot be answered and is not carried out";
                return delivery.outcome(Some(rejected(condition::PRECONDITION_FAILED, text)), true);
            }
            Err(malformed) => {
                let text = malformed.to_string();
                log!(Agent, Debug, "{text}");
                let outcome = rejected(condition::DECODE_ERROR, &text);
                if malformed.reply_to.is_some() {
                    let response = Response::new(Status::BAD_REQUEST, text, skupper_proto::amqp::Value::Map(Vec::new()));
                    self.send(&Response { to: malformed.reply_to, correlation_id: malformed.correlation_id, ..response });
                }
                return delivery.outcome(Some(outcome), true);
            }
        };
        delivery.outcome(Some(DeliveryState::Accepted), true);
        let response = handle(&*self.directory, &request, delivery.message().connection);
        self.directory.settled().await;
        self.send(&response);
        drop(permit);
    }

    fn send(&self, response: &Response) {
        let Some(to) = &response.to else { return };
        let mut octets = response.encode();
        if octets.len() > MAX_RESPONSE {
            let text = format!("the response has {} octets: ask for less at a time, with offset and count", octets.len());
            let short = Response::new(Status::BAD_REQUEST, text, skupper_proto::amqp::Value::Map(Vec::new()));
            octets = Response { to: response.to.clone(), correlation_id: response.correlation_id.clone(), ..short }.encode();
        }
        (self.outlet)(to, Bytes::from(octets));
    }

    /// Refuses a request for which there is no room, with a response if it says where to.
    fn refuse(&self, delivery: &Delivery) {
        let text = format!("{MAX_REQUESTS} requests are being carried out already; try again later");
        let mut chunks = VecDeque::new();
        if delivery.message().sections.len() <= MAX_GLANCE
            && let (_, Some(Ended::Complete)) = delivery.take(MAX_GLANCE, &mut chunks)
            && let Ok(request) = Request::decode(&joined(&delivery.message().sections, &chunks))
            && request.reply_to.is_some()
        {
            delivery.outcome(Some(DeliveryState::Accepted), true);
            return self.send(&answer(&request, Response::new(Status::UNAVAILABLE, text, skupper_proto::amqp::Value::Null)));
        }
        delivery.outcome(Some(rejected(condition::RESOURCE_LIMIT_EXCEEDED, &text)), true);
    }
}

impl<D: Directory + Send + Sync + 'static> Endpoint for Service<D> {
    fn deliver(&self, delivery: Arc<Delivery>) {
        let (Some(service), Ok(permit)) = (self.itself.upgrade(), Arc::clone(&self.requests).try_acquire_owned()) else {
            return self.refuse(&delivery);
        };
        drop(self.runtime.spawn(service.serve(delivery, permit)));
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

/// The octets of a message once all are there, or more than a request may have. `None` when it was given up.
async fn receive(delivery: &Arc<Delivery>) -> Option<BytesMut> {
    let mut octets = BytesMut::from(&*delivery.message().sections);
    let mut chunks = VecDeque::new();
    let mut named = false;
    poll_fn(|cx| {
        if !std::mem::replace(&mut named, true) {
            delivery.set_consumer(Notify::Task(cx.waker().clone()));
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

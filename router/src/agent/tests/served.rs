//! Requests as deliveries.

use super::*;

fn service() -> (Arc<Service<Memory>>, Sent) {
    service_of(Memory::default())
}

fn delivery(octets: &[u8], holder: &Arc<Holder>) -> Arc<Delivery> {
    let message = Message { sections: Bytes::copy_from_slice(octets), ..Message::default() };
    Delivery::whole(message, Bytes::new(), holder)
}

fn addressed(to: &str) -> Request {
    Request { reply_to: Some(to.to_owned()), ..request("GET-MGMT-NODES", &[], &[]) }
}

#[tokio::test]
async fn a_delivery_is_accepted_and_answered() {
    let (service, sent) = service();
    let holder = Holder::new(&Account::new(1 << 30), Class::Router);
    let octets = addressed("me").encode();
    let whole = delivery(&octets, &holder);
    // In pieces, as a large message comes.
    let pieces = Delivery::new(
        Message { sections: Bytes::copy_from_slice(&octets[..20]), ..Message::default() },
        &holder,
    );
    service.deliver(Arc::clone(&whole));
    service.deliver(Arc::clone(&pieces));
    settle().await;
    assert_eq!(sent.lock().unwrap().len(), 1);
    pieces.push(Bytes::copy_from_slice(&octets[20..]));
    pieces.end(crate::core::Ended::Complete);
    settle().await;
    let sent = sent.lock().unwrap();
    assert_eq!(
        sent.iter().map(|(to, response)| (to.as_str(), response.status)).collect::<Vec<_>>(),
        [("me", Status::OK); 2]
    );
    assert_eq!(whole.progress().outcome, Some(DeliveryState::Accepted));
    assert_eq!(pieces.progress().outcome, Some(DeliveryState::Accepted));
}

#[tokio::test]
async fn what_is_no_request_is_rejected() {
    let (service, sent) = service();
    let holder = Holder::new(&Account::new(1 << 30), Class::Router);
    let nameless = delivery(&request("GET-TYPES", &[], &[]).encode(), &holder);
    let noise = delivery(b"noise", &holder);
    let large = delivery(
        &addressed("me").with_body(Value::String("x".repeat(300 * 1024))).encode(),
        &holder,
    );
    for delivery in [&nameless, &noise, &large] {
        service.deliver(Arc::clone(delivery));
    }
    settle().await;
    for delivery in [&nameless, &noise, &large] {
        assert!(
            matches!(delivery.progress().outcome, Some(DeliveryState::Rejected(_))),
            "{:?}",
            delivery.progress()
        );
    }
    let sent = sent.lock().unwrap();
    assert_eq!(
        sent.iter().map(|(_, response)| response.status).collect::<Vec<_>>(),
        [Status::BAD_REQUEST]
    );
}

#[tokio::test]
async fn a_flood_is_refused_with_a_status() {
    let (service, sent) = service();
    let holder = Holder::new(&Account::new(1 << 30), Class::Router);
    let octets = addressed("me").encode();
    // None is carried out before all are there.
    let deliveries: Vec<_> = (0..600).map(|_| delivery(&octets, &holder)).collect();
    for delivery in &deliveries {
        service.deliver(Arc::clone(delivery));
    }
    settle().await;
    let count = |status| {
        sent.lock().unwrap().iter().filter(|(_, response)| response.status == status).count()
    };
    assert_eq!((count(Status::OK), count(Status::UNAVAILABLE)), (512, 88));
    service.deliver(delivery(&octets, &holder));
    settle().await;
    assert_eq!(count(Status::OK), 513);
}

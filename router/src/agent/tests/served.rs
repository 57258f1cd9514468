//! Requests as deliveries.

use super::*;

fn service() -> (Arc<Service<Memory>>, Sent) {
    service_of(Memory::default())
}

fn delivery(octets: &[u8], holder: &Arc<Holder>) -> (ProducerEnd, ConsumerEnd) {
    let message = Message { sections: Bytes::copy_from_slice(octets), ..Message::default() };
    let ends = ProducerEnd::begin(message, holder);
    ends.0.end(Ended::Complete);
    ends
}

fn addressed(to: &str) -> Request {
    Request { reply_to: Some(to.to_owned()), ..request("GET-MGMT-NODES", &[], &[]) }
}

#[tokio::test]
async fn a_delivery_is_accepted_and_answered() {
    let (service, sent) = service();
    let holder = Holder::new(&Account::new(1 << 30), Class::Router);
    let octets = addressed("me").encode();
    let (whole, delivery) = delivery(&octets, &holder);
    // In pieces, as a large message comes.
    let (pieces, in_pieces) = ProducerEnd::begin(
        Message { sections: Bytes::copy_from_slice(&octets[..20]), ..Message::default() },
        &holder,
    );
    service.deliver(delivery);
    service.deliver(in_pieces);
    settle().await;
    assert_eq!(sent.lock().unwrap().len(), 1);
    pieces.push(Bytes::copy_from_slice(&octets[20..]));
    pieces.end(Ended::Complete);
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
    let producers = [nameless, noise, large].map(|(producer, delivery)| {
        service.deliver(delivery);
        producer
    });
    settle().await;
    for producer in producers {
        let progress = producer.progress();
        assert!(matches!(progress.outcome, Some(DeliveryState::Rejected(_))), "{progress:?}");
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
    let (_producers, deliveries): (Vec<_>, Vec<_>) =
        (0..600).map(|_| delivery(&octets, &holder)).unzip();
    for delivery in deliveries {
        service.deliver(delivery);
    }
    settle().await;
    let count = |status| {
        sent.lock().unwrap().iter().filter(|(_, response)| response.status == status).count()
    };
    assert_eq!((count(Status::OK), count(Status::UNAVAILABLE)), (512, 88));
    service.deliver(delivery(&octets, &holder).1);
    settle().await;
    assert_eq!(count(Status::OK), 513);
}

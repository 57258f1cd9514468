//! The timer of the routing protocol.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::notices;
use crate::node::Node;

/// Keeps the routing protocol's time, and logs its notices.
pub(super) async fn keep(node: Arc<Node>) {
    loop {
        let deadline = poll_fn(|cx| {
            let deadline = node.core.poll_timer(node.clock.now(), cx.waker());
            Poll::Ready(deadline)
        })
        .await;
        for notice in node.core.take_notices() {
            notices::write(&notice);
        }
        let mut sleep = std::pin::pin!(tokio::time::sleep(Duration::from_secs(60)));
        if let Some(deadline) = deadline {
            sleep.as_mut().reset(node.clock.at(deadline));
        }
        let mut first = true;
        poll_fn(|cx| {
            if sleep.as_mut().poll(cx).is_ready() || !std::mem::take(&mut first) {
                return Poll::Ready(());
            }
            // A wake-up before the deadline means news. The loop begins anew.
            let _ = node.core.poll_timer(node.clock.now(), cx.waker());
            Poll::Pending
        })
        .await;
    }
}

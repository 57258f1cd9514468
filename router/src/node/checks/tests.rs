use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::time::{Duration, Instant as SystemInstant};

use super::*;

fn source(number: u8) -> Source {
    Source::V4(Ipv4Addr::new(127, 0, 0, number))
}

/// A check that takes a moment and finds a wrong password.
fn wrong() -> bool {
    let (_sender, never) = mpsc::channel::<()>();
    never.recv_timeout(Duration::from_millis(20)).is_ok()
}

#[tokio::test]
async fn a_crowd_of_wrong_logins_does_not_delay_another_source() {
    let checks = Arc::<Checks>::default();
    let crowd: Vec<_> = (0..600)
        .map(|number| {
            let checks = Arc::clone(&checks);
            tokio::spawn(
                async move { checks.run(source(2), &format!("user-{number}"), wrong).await },
            )
        })
        .collect();
    tokio::task::yield_now().await;
    let asked = SystemInstant::now();
    assert_eq!(checks.run(source(3), "alice", || true).await, Ok(true));
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    for task in &crowd {
        task.abort();
    }
    for task in crowd {
        let _ = task.await;
    }
    assert_eq!(checks.lock().waiting.len(), 0);
    // The same source has its turn as well, once its guesses have been paid for.
    assert_eq!(checks.run(source(2), "bob", || true).await, Ok(true));
}

#[tokio::test]
async fn who_leaves_or_panics_gives_its_turn_back() {
    let checks = Arc::<Checks>::default();
    let (release, released) = mpsc::channel::<()>();
    let first = {
        let checks = Arc::clone(&checks);
        tokio::spawn(async move {
            checks.run(source(1), "alice", move || released.recv().is_ok()).await
        })
    };
    tokio::task::yield_now().await;
    let left = {
        let checks = Arc::clone(&checks);
        tokio::spawn(async move { checks.run(source(1), "bob", || true).await })
    };
    tokio::task::yield_now().await;
    assert_eq!(checks.lock().waiting.len(), 1);
    left.abort();
    let _ = left.await;
    assert_eq!(checks.lock().waiting.len(), 0);
    release.send(()).unwrap();
    assert_eq!(first.await.unwrap(), Ok(true));
    assert_eq!(
        checks.run(source(1), "carol", || panic!("as a parser may, one day")).await,
        Ok(false)
    );
    assert_eq!(checks.run(source(1), "dave", || true).await, Ok(true));
    assert!(checks.lock().checking.is_empty());
}

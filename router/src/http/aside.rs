//! Makes slow answers on threads for blocking work, so that only their clients wait.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Answers of one port made at the same time. There are one or two scrapers, and each further
/// answer would take a processor from traffic.
const AT_ONCE: usize = 2;

/// Makes answers that read whole tables. With many connections, links and addresses each takes
/// milliseconds, and the thread of health probes and routing timers must not stop for so long.
#[derive(Clone, Debug)]
pub struct Aside(Arc<Semaphore>);

impl Default for Aside {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Aside {
    /// Makes an answer on another thread, in turn. Returns `None` if that thread panicked. A caller
    /// that goes away does not stop the work.
    pub async fn make<T: Send + 'static>(
        &self,
        answer: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        // The semaphore is never closed.
        let place = Arc::clone(&self.0).acquire_owned().await.ok()?;
        let made = tokio::task::spawn_blocking(move || {
            let answer = answer();
            // The work frees its place when it ends, even if the caller has gone.
            drop(place);
            answer
        });
        made.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_thread_goes_on_while_an_answer_is_made() {
        let aside = Aside::default();
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let answer = aside.make(move || begun.recv_timeout(Duration::from_secs(10)).is_ok());
        let other = async {
            tokio::task::yield_now().await;
            begin.send(()).unwrap();
        };
        let (answer, ()) = tokio::join!(answer, other);
        assert_eq!(answer, Some(true));
    }

    #[tokio::test]
    async fn a_panic_is_no_answer_and_frees_its_place() {
        let aside = Aside::default();
        for _ in 0..=AT_ONCE {
            assert_eq!(aside.make(|| -> u8 { panic!("of a test") }).await, None);
        }
        assert_eq!(aside.make(|| 7).await, Some(7));
    }
}

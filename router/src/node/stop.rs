//! The stop of an entity: told to its tasks, and awaited.

use tokio::sync::watch;

/// Tells the tasks of an entity, or of a connection, to stop, and knows when they have.
#[derive(Debug)]
pub struct Stop(watch::Sender<bool>);

/// A task's side of a [`Stop`], kept for as long as the task runs.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// The side of a task that begins.
    pub fn follow(&self) -> Stopping {
        Stopping(self.0.subscribe())
    }

    /// Asks all tasks to stop, those included that begin later.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Whether they have been asked.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until no task is left.
    pub async fn finished(&self) {
        self.0.closed().await;
    }
}

impl Stopping {
    /// Waits until the task is asked to stop.
    pub async fn asked(&mut self) {
        // An error means that the entity itself is gone.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_are_told_and_awaited() {
        let stop = Stop::default();
        stop.finished().await;
        let (mut first, second) = (stop.follow(), stop.follow());
        assert!(!stop.is_asked());
        let task = tokio::spawn(async move { first.asked().await });
        stop.ask();
        task.await.unwrap();
        stop.follow().asked().await;
        let waiting = stop.finished();
        tokio::pin!(waiting);
        assert!(futures_pending(waiting.as_mut()).await, "one task is left");
        drop(second);
        waiting.await;
    }

    async fn futures_pending(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        let mut future = future;
        std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
    }
}

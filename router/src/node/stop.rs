//! The stop of an entity: it asks the entity's tasks to stop, and waits for them.

use std::sync::OnceLock;
use std::task::Waker;

use tokio::sync::watch;

use crate::lock::{Mutex, MutexGuard};

/// Asks the tasks of an entity, or of a connection, to stop, and knows when they have.
#[derive(Debug)]
pub struct Stop(watch::Sender<bool>);

/// The side of a task. The task keeps it for as long as it runs.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// Returns the side of a task that begins.
    pub fn follow(&self) -> Stopping {
        Stopping(self.0.subscribe())
    }

    /// Asks all tasks to stop, and those that begin later.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Returns whether [`Stop::ask`] has been called.
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

/// Ends the one task that watches it. It is lighter than a [`Stop`], for a router may have ten
/// thousand service connections.
#[derive(Debug, Default)]
pub struct Dismissal {
    why: OnceLock<&'static str>,
    waker: Mutex<Option<Waker>>,
}

impl Dismissal {
    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock()
    }

    /// Ends the task. The first reason stays.
    pub fn say(&self, why: &'static str) {
        let _ = self.why.set(why);
        let waker = self.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Names the task to wake. Call [`Dismissal::heard`] afterwards: a reason may have come before.
    pub fn watch(&self, waker: &Waker) {
        *self.lock() = Some(waker.clone());
    }

    /// Returns why the task must end, if it must. The task calls it whenever it is woken.
    pub fn heard(&self) -> Option<&'static str> {
        self.why.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_is_dismissed_once() {
        let word = std::sync::Arc::new(Dismissal::default());
        let watched = std::sync::Arc::clone(&word);
        let task = tokio::spawn(std::future::poll_fn(move |cx| {
            watched.watch(cx.waker());
            watched.heard().map_or(std::task::Poll::Pending, std::task::Poll::Ready)
        }));
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        word.say("first");
        word.say("second");
        assert_eq!(task.await.unwrap(), "first");
    }

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
        std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending()))
            .await
    }
}

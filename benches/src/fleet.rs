//! The worker threads and their conductor.
//!
//! Every worker thread has a current-thread runtime and a share of the tasks; no task moves between
//! threads, so that what is measured is not the generator's own hand-overs. A run is a sequence of
//! stages: each task *arrives* at the end of a stage's preparation, and when all have arrived or
//! ended, the conductor opens the next [`Window`] for all of them at one moment. Tasks of a thread
//! add their figures to a tally they share; a thread hands it back when its tasks have ended.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep_until, timeout_at};

use crate::BenchError;
use crate::process::Monitor;

/// The most stages a run may have.
const STAGES: usize = 8;

/// The interval at which the conductor reads the peak memory of the watched processes.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The figures shared by the tasks of one thread.
pub(crate) type Shared<A> = Rc<RefCell<A>>;

/// A stage's time.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// When it begins: now, when the tasks see it.
    pub start: Instant,
    /// When it ends.
    pub end: Instant,
}

enum Event {
    /// A task has arrived at the end of a stage's preparation.
    Arrived(usize),
    /// A task has ended after so many arrivals.
    Ended(usize),
}

/// The conductor is gone: the task ends.
#[derive(Debug)]
pub(crate) struct Gone;

/// A task's place in the run.
pub(crate) struct Seat {
    /// The task's number, from 0.
    pub(crate) index: usize,
    arrived: usize,
    windows: watch::Receiver<Vec<Window>>,
    events: mpsc::UnboundedSender<Event>,
}

impl Seat {
    /// Says that this task is ready for the next window, and waits for it.
    pub(crate) async fn next_window(&mut self) -> Result<Window, Gone> {
        self.arrive();
        self.window().await
    }

    /// Says that this task is ready for the next window. [`Seat::window`] then waits for it.
    pub(crate) fn arrive(&mut self) {
        // A conductor that is gone is noticed by the wait.
        let _ = self.events.send(Event::Arrived(self.arrived));
        self.arrived += 1;
    }

    /// Waits for the window that the last arrival asked for. May be dropped and called again.
    pub(crate) async fn window(&mut self) -> Result<Window, Gone> {
        let wanted = self.arrived;
        let windows =
            self.windows.wait_for(|windows| windows.len() >= wanted).await.map_err(|_| Gone)?;
        windows.get(wanted.saturating_sub(1)).copied().ok_or(Gone)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // A task that panics is counted as ended, too.
        let _ = self.events.send(Event::Ended(self.arrived));
    }
}

/// The worker threads of one run, seen by the conductor.
pub(crate) struct Fleet<A> {
    tasks: usize,
    reached: [usize; STAGES],
    opened: Vec<Window>,
    windows: watch::Sender<Vec<Window>>,
    events: mpsc::UnboundedReceiver<Event>,
    tallies: mpsc::UnboundedReceiver<A>,
    threads: Vec<JoinHandle<()>>,
}

impl<A: Default + Send + 'static> Fleet<A> {
    /// Starts `tasks` tasks on `threads` threads.
    pub(crate) fn launch<F, Fut>(threads: usize, tasks: usize, work: F) -> io::Result<Self>
    where
        F: Fn(Seat, Shared<A>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let threads = threads.clamp(1, tasks.max(1));
        let (windows, seen) = watch::channel(Vec::new());
        let (events, received) = mpsc::unbounded_channel();
        let (results, tallies) = mpsc::unbounded_channel();
        let handles = (0..threads)
            .map(|thread| {
                let runtime = runtime()?;
                let (work, results) = (work.clone(), results.clone());
                let seats: Vec<Seat> = (thread..tasks)
                    .step_by(threads)
                    .map(|index| Seat {
                        index,
                        arrived: 0,
                        windows: seen.clone(),
                        events: events.clone(),
                    })
                    .collect();
                std::thread::Builder::new().name(format!("worker-{thread}")).spawn(move || {
                    let tally = Shared::<A>::default();
                    runtime.block_on(LocalSet::new().run_until(async {
                        let mut set = JoinSet::new();
                        for seat in seats {
                            set.spawn_local(work(seat, Rc::clone(&tally)));
                        }
                        while let Some(ended) = set.join_next().await {
                            // A defect in a task must not pass for a run without errors.
                            if let Err(error) = ended
                                && error.is_panic()
                            {
                                std::panic::resume_unwind(error.into_panic());
                            }
                        }
                    }));
                    let _ = results.send(tally.take());
                })
            })
            .collect::<io::Result<_>>()?;
        let reached = [0; STAGES];
        Ok(Self {
            tasks,
            reached,
            opened: Vec::new(),
            windows,
            events: received,
            tallies,
            threads: handles,
        })
    }

    /// Waits until every task has arrived at the next stage or has ended, looking at the processes
    /// meanwhile.
    pub(crate) async fn gather(
        &mut self,
        phase: &'static str,
        limit: Duration,
        monitor: &mut Monitor,
    ) -> Result<(), BenchError> {
        let stage = self.opened.len();
        let until = Instant::now() + limit;
        while self.reached.get(stage).is_none_or(|reached| *reached < self.tasks) {
            if stage >= STAGES || Instant::now() >= until {
                return Err(BenchError::Stuck { phase, limit });
            }
            let look = (Instant::now() + LOOK_EVERY).min(until);
            match timeout_at(look.into(), self.events.recv()).await {
                Ok(Some(event)) => self.note(&event),
                Ok(None) => return Err(BenchError::WorkerLost),
                Err(_) => monitor.look(),
            }
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        // A task that has ended will hold up no later stage.
        let stages = match event {
            Event::Arrived(stage) => *stage..stage.saturating_add(1),
            Event::Ended(arrivals) => *arrivals..STAGES,
        };
        for reached in self.reached.get_mut(stages).unwrap_or_default() {
            *reached += 1;
        }
    }

    /// Opens the next window, beginning now, for all tasks.
    pub(crate) fn open(&mut self, length: Duration) -> Window {
        let start = Instant::now();
        let window = Window { start, end: start + length };
        self.opened.push(window);
        self.windows.send_replace(self.opened.clone());
        window
    }

    /// Waits until `until`, looking at the processes meanwhile.
    pub(crate) async fn pass(&self, until: Instant, monitor: &mut Monitor) {
        while Instant::now() < until {
            sleep_until((Instant::now() + LOOK_EVERY).min(until).into()).await;
            monitor.look();
        }
    }

    /// Waits for all threads to end and gives back their tallies.
    pub(crate) async fn finish(
        mut self,
        limit: Duration,
        monitor: &mut Monitor,
    ) -> Result<Vec<A>, BenchError> {
        let until = Instant::now() + limit;
        let mut tallies = Vec::new();
        while tallies.len() < self.threads.len() {
            if Instant::now() >= until {
                return Err(BenchError::Stuck { phase: "the end", limit });
            }
            let look = (Instant::now() + LOOK_EVERY).min(until);
            match timeout_at(look.into(), self.tallies.recv()).await {
                Ok(Some(tally)) => tallies.push(tally),
                Ok(None) => return Err(BenchError::WorkerLost),
                Err(_) => {
                    monitor.look();
                    // A thread that panicked sends nothing, and the others may take long.
                    let ended = self.threads.iter().filter(|thread| thread.is_finished()).count();
                    if ended > tallies.len().saturating_add(self.tallies.len()) {
                        return Err(BenchError::WorkerLost);
                    }
                }
            }
        }
        Ok(tallies)
    }
}

/// A current-thread runtime.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Runs the conductor on the calling thread.
pub(crate) fn conduct<T>(
    future: impl Future<Output = Result<T, BenchError>>,
) -> Result<T, BenchError> {
    let runtime = runtime()?;
    let result = runtime.block_on(future);
    // A name look-up that never ends must not hold the program.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn all_tasks_see_the_same_windows_and_are_tallied_once() {
        let seen = conduct(async {
            let mut monitor = Monitor::new(&[])?;
            let mut fleet = Fleet::<Vec<(usize, Instant, Instant)>>::launch(
                3,
                10,
                |mut seat, tally| async move {
                    let Ok(first) = seat.next_window().await else { return };
                    let Ok(second) = seat.next_window().await else { return };
                    tally.borrow_mut().push((seat.index, first.start, second.end));
                },
            )?;
            fleet.gather("first", LIMIT, &mut monitor).await?;
            let first = fleet.open(Duration::ZERO);
            fleet.gather("second", LIMIT, &mut monitor).await?;
            let second = fleet.open(Duration::from_secs(1));
            Ok((first, second, fleet.finish(LIMIT, &mut monitor).await?.concat()))
        });
        let (first, second, mut seen) = seen.expect("a run without defects");
        seen.sort();
        assert_eq!(seen, (0..10).map(|index| (index, first.start, second.end)).collect::<Vec<_>>());
    }

    #[test]
    fn a_task_that_ends_early_holds_up_nobody() {
        let tallies = conduct(async {
            let mut monitor = Monitor::new(&[])?;
            let mut fleet = Fleet::<usize>::launch(2, 6, |mut seat, tally| async move {
                if seat.index.is_multiple_of(2) {
                    return;
                }
                if seat.next_window().await.is_ok() && seat.next_window().await.is_ok() {
                    *tally.borrow_mut() += 1;
                }
            })?;
            for phase in ["first", "second"] {
                fleet.gather(phase, LIMIT, &mut monitor).await?;
                fleet.open(Duration::ZERO);
            }
            fleet.finish(LIMIT, &mut monitor).await
        });
        assert_eq!(tallies.expect("a run without defects").iter().sum::<usize>(), 3);
    }

    #[test]
    fn a_panic_is_no_success() {
        let result = conduct(async {
            let mut monitor = Monitor::new(&[])?;
            let mut fleet = Fleet::<()>::launch(1, 1, |_seat, _tally| async {
                panic!("a defect, on purpose")
            })?;
            fleet.gather("first", LIMIT, &mut monitor).await?;
            fleet.open(Duration::ZERO);
            fleet.finish(LIMIT, &mut monitor).await
        });
        assert!(matches!(result, Err(BenchError::WorkerLost)), "{result:?}");
    }

    #[test]
    fn a_task_that_never_arrives_is_named_after_the_limit() {
        let result = conduct(async {
            let mut monitor = Monitor::new(&[])?;
            let mut fleet = Fleet::<()>::launch(1, 1, |seat, _tally| async move {
                std::future::pending::<()>().await;
                drop(seat);
            })?;
            fleet.gather("opening", Duration::from_millis(20), &mut monitor).await
        });
        assert!(matches!(result, Err(BenchError::Stuck { phase: "opening", .. })), "{result:?}");
    }
}

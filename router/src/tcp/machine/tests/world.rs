//! A client's connection and a server's, joined by two streams.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::stream::encode_head;
use skupper_proto::time::Instant;

use super::super::{End, Machine, Observer, Source, Step};
use super::pipe::{Ending, Pipe, assert_pattern};
use crate::core::{
    Account, Chunks, Class, ConsumerEnd, Ended, Endpoint, Holder, Message, Notify, ProducerEnd,
    Progress, Replies, ServiceAccount,
};
use crate::tcp::reply::{Answer, Reply};

/// Turns after which a machine that still moves something is taken to spin.
const SPINS: usize = 100_000;

/// Counts the bytes that pass, and asserts that they are the ones that were sent.
#[derive(Debug, Default)]
pub(super) struct Counter {
    pub(super) uploaded: usize,
    pub(super) downloaded: usize,
}

impl Observer for Counter {
    fn on_upload(&mut self, bytes: &[u8]) {
        see(&mut self.uploaded, bytes);
    }

    fn on_download(&mut self, bytes: &[u8]) {
        see(&mut self.downloaded, bytes);
    }
}

fn see(seen: &mut usize, bytes: &[u8]) {
    assert_pattern(*seen, bytes);
    *seen += bytes.len();
}

/// Notes that a task was woken.
#[derive(Debug)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One service connection: its machine and its socket.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) machine: Machine<Counter>,
    pub(super) pipe: Pipe,
    pub(super) end: Option<End>,
    bell: Arc<Bell>,
}

impl Site {
    fn new(machine: Machine<Counter>, tls: bool) -> Self {
        let bell = Arc::new(Bell(AtomicBool::new(true)));
        let notify = || Notify::Task(Waker::from(Arc::clone(&bell)));
        machine.upload().set_notify(notify());
        if let Some(download) = machine.download() {
            download.set_notify(notify());
        }
        Self { machine, pipe: Pipe::new(tls), end: None, bell }
    }

    /// Drives it if a stream, the socket or the time has woken its task. Returns whether it was
    /// woken.
    fn run(&mut self, now: Instant) -> bool {
        let woken = self.end.is_none()
            && (self.bell.0.swap(false, Ordering::Relaxed)
                || self.machine.wants_read() && self.pipe.is_readable()
                || self.machine.wants_write(&self.pipe) && self.pipe.is_writable()
                || self.machine.deadline().is_some_and(|deadline| deadline <= now));
        if woken {
            self.drive(now);
        }
        woken
    }

    /// Drives the machine as its task does when it is woken. Returns whether anything moved.
    pub(super) fn drive(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for _ in 0..SPINS {
            if self.end.is_some() {
                return moved;
            }
            match self.turn(now) {
                ControlFlow::Continue(true) => moved = true,
                ControlFlow::Continue(false) => {
                    let due = self.machine.deadline().is_some_and(|deadline| deadline <= now);
                    let over = due.then(|| self.machine.on_deadline(now));
                    match over.and_then(ControlFlow::break_value) {
                        Some(end) => self.end(end),
                        None if due => {}
                        None => return moved,
                    }
                }
                ControlFlow::Break(end) => self.end(end),
            }
        }
        panic!("it spins: {:?}", self.pipe);
    }

    fn turn(&mut self, now: Instant) -> Step {
        let waker = Waker::from(Arc::clone(&self.bell));
        if let Some(download) = self.machine.poll_answer(&waker)? {
            download.set_notify(Notify::Task(waker));
        }
        self.machine.turn(&mut self.pipe, &|| now)
    }

    /// Ends the connection, as its task does.
    pub(super) fn end(&mut self, end: End) {
        if self.end.is_none() {
            self.machine.close();
            self.end = Some(end);
        }
    }

    /// Whether its peer has seen a clean end.
    pub(super) fn ends_cleanly(&self) -> bool {
        self.pipe.finished || matches!(self.end, Some(End::Complete))
    }

    /// Why it ended.
    pub(super) fn why(&self) -> String {
        self.end.as_ref().map_or_else(|| "it has not ended".to_owned(), End::to_string)
    }
}

/// A stream that passes routers on its way. They carry its bytes, and the answers to it.
pub(super) struct Way {
    /// Gone once the way is lost.
    from: Option<ConsumerEnd>,
    pub(super) to: ProducerEnd,
    /// The answer that was passed on.
    told: Progress,
    ended: bool,
}

impl Way {
    fn new(from: ConsumerEnd, to: ProducerEnd) -> Self {
        Self { from: Some(from), to, told: Progress::default(), ended: false }
    }

    /// Returns the end that takes the bytes of the socket at the beginning of the way.
    pub(super) fn from(&self) -> &ConsumerEnd {
        self.from.as_ref().expect("a way that is not lost")
    }

    /// Carries up to so many bytes, and the receiver's answer. Returns whether there was anything.
    pub(super) fn carry(&mut self, bytes: usize) -> bool {
        let Some(from) = &self.from else { return false };
        let progress = Progress { queued: 0, ..self.to.progress() };
        let told = std::mem::replace(&mut self.told, progress.clone());
        let mut said = progress != told;
        if progress.acknowledged {
            from.acknowledge(progress.received, progress.allowance);
        }
        if progress.outcome != told.outcome || progress.settled != told.settled {
            from.set_outcome(progress.outcome, progress.settled);
        }
        if !self.ended {
            let mut taken = Chunks::default();
            let (count, ended) = from.take_within(bytes, &mut taken);
            said |= count > 0 || ended.is_some();
            while let Some(chunk) = taken.pop_front() {
                self.to.push(chunk);
            }
            if let Some(ended) = ended {
                self.ended = true;
                self.to.end(ended);
            }
        }
        said
    }

    /// The link is lost.
    pub(super) fn lose(&mut self) {
        if let Some(from) = self.from.take() {
            self.to.end(Ended::Aborted);
            drop(from);
        }
    }

    /// A router on the way gives the stream up, with an outcome.
    pub(super) fn refuse(&mut self, outcome: DeliveryState) {
        if let Some(from) = self.from.take() {
            self.to.end(Ended::Aborted);
            from.conclude(outcome);
        }
    }
}

/// The setting of a world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) client_tls: bool,
    pub(super) server_tls: bool,
    /// Both connections are at one router: the machines share the streams, and nothing is between.
    pub(super) direct: bool,
    /// Bytes that a client may send before there is an answer.
    pub(super) early: usize,
    /// The ceiling of the router's account, in bytes.
    pub(super) ceiling: usize,
}

impl Default for Setting {
    fn default() -> Self {
        Self { client_tls: false, server_tls: false, direct: false, early: 0, ceiling: 1 << 30 }
    }
}

/// A client, a server, and the ways between them.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) account: Arc<Account>,
    pub(super) memory: Arc<ServiceAccount>,
    pub(super) client: Site,
    /// There once the client's stream has been answered.
    pub(super) server: Option<Site>,
    server_tls: bool,
    direct: bool,
    pub(super) reply: Arc<Reply>,
    pub(super) up: Way,
    /// The far end of the client's stream, until something takes it.
    pub(super) arriving: Option<ConsumerEnd>,
    pub(super) down: Option<Way>,
}

/// A stream's delivery as it begins.
fn stream(holder: &Arc<Holder>, head: Vec<u8>) -> (ProducerEnd, ConsumerEnd) {
    let message = Message {
        sections: Bytes::from(head),
        streaming: true,
        internal: true,
        windowed: true,
        ..Message::default()
    };
    ProducerEnd::begin(message, holder)
}

impl World {
    /// A client that has connected. Its stream is under way.
    pub(super) fn new(setting: Setting) -> Self {
        let account = Account::new(setting.ceiling);
        let [read, unwritten] = [(); 2].map(|()| Holder::new(&account, Class::Service));
        let memory = Arc::new(ServiceAccount { read, unwritten });
        let reply = Arc::new(Reply::default());
        let address = Replies::new("amqp:/_topo/0/here/", 1).add(
            0,
            7,
            Arc::clone(&reply) as Arc<dyn Endpoint>,
        );
        let head = || encode_head("service", Some("reply"), None, None);
        let [(upload, from), (to, arriving)] = [(); 2].map(|()| stream(&memory.read, head()));
        let (from, arriving) = if setting.direct { (arriving, from) } else { (from, arriving) };
        let now = Instant::from_millis(1000);
        let answer = Answer::new(Arc::clone(&reply), address);
        let source = Source::Awaited { answer, early: setting.early };
        let machine = Machine::new(upload, source, Arc::clone(&memory), Counter::default(), now);
        Self {
            now,
            account,
            memory,
            client: Site::new(machine, setting.client_tls),
            server: None,
            server_tls: setting.server_tls,
            direct: setting.direct,
            reply,
            up: Way::new(from, to),
            arriving: Some(arriving),
            down: None,
        }
    }

    /// A client whose stream has been answered.
    pub(super) fn joined(setting: Setting) -> Self {
        let mut world = Self::new(setting);
        world.answer();
        world.run();
        world
    }

    /// The server's connection begins, and its stream arrives where the client's waits.
    pub(super) fn answer(&mut self) {
        let Some(download) = self.arriving.take() else { return };
        let head = || encode_head("reply", None, None, None);
        let [(upload, from), (to, arriving)] = [(); 2].map(|()| stream(&self.memory.read, head()));
        let (from, arriving) = if self.direct { (arriving, from) } else { (from, arriving) };
        let machine = Machine::new(
            upload,
            Source::Here(download),
            Arc::clone(&self.memory),
            Counter::default(),
            self.now,
        );
        self.server = Some(Site::new(machine, self.server_tls));
        self.down = Some(Way::new(from, to));
        self.reply.deliver(arriving);
    }

    /// A stream with this head comes as the answer, without a server.
    pub(super) fn answer_by(&mut self, head: Vec<u8>) -> ProducerEnd {
        let (answer, delivery) = stream(&self.memory.read, head);
        self.reply.deliver(delivery);
        answer
    }

    /// The tcpConnector could not serve the client's stream: its outcome.
    pub(super) fn refuse(&mut self, outcome: DeliveryState) {
        match self.arriving.take() {
            Some(arriving) => arriving.conclude(outcome),
            None => self.says(outcome, true),
        }
        self.run();
    }

    /// The server's connection gives the client's stream an outcome, whatever its machine does.
    pub(super) fn says(&mut self, outcome: DeliveryState, settled: bool) {
        let download = self.server().machine.download().expect("the client's stream");
        download.set_outcome(Some(outcome), settled);
    }

    /// The server's connection, which is there.
    pub(super) fn server(&mut self) -> &mut Site {
        self.server.as_mut().expect("the server's connection")
    }

    /// Lets everything happen that can without time. No task has a turn that nothing woke.
    pub(super) fn run(&mut self) {
        for _ in 0..SPINS {
            let mut moved = self.client.run(self.now);
            moved |= self.up.carry(usize::MAX);
            if let (Some(server), Some(down)) = (&mut self.server, &mut self.down) {
                moved |= server.run(self.now);
                moved |= down.carry(usize::MAX);
            }
            if !moved {
                return self.check();
            }
        }
        panic!(
            "it spins: {:?}, {:?}",
            self.client.pipe,
            self.server.as_ref().map(|site| &site.pipe)
        );
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.run();
    }

    /// Asserts that each peer has heard a prefix of what the other sent, and a clean end only
    /// behind all of it. (The sockets compare the bytes.)
    pub(super) fn check(&self) {
        let Some(server) = &self.server else {
            assert_eq!(self.client.pipe.heard, 0);
            assert!(!self.client.ends_cleanly(), "a clean end without a server");
            return;
        };
        for (from, to) in [(&self.client, server), (server, &self.client)] {
            assert!(to.pipe.heard <= from.pipe.sent);
            if to.ends_cleanly() {
                assert_eq!(to.pipe.heard, from.pipe.sent, "a clean end comes behind all bytes");
                assert_eq!(from.pipe.ending, Some(Ending::Clean));
            }
        }
    }
}

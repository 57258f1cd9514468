//! A TCP relay between two routers, for a path that breaks, stands still, is narrow or is long.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::{Monitor, client, ports, wait};

/// Longest time for which a blocked thread may miss the cut of its connection.
const TICK: Duration = Duration::from_millis(20);

/// Buffers of a limited path, in bytes. They are small, but hold several segments of the loopback
/// interface, for below that TCP crawls.
const NARROW: usize = 128 * 1024;

/// The properties of the path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    /// Bytes a second each way; `None` for no limit. A limited path also has small buffers.
    pub rate: Option<u64>,
    /// The delay of a byte from one end to the other.
    pub delay: Duration,
}

/// A relay to one port of this machine.
pub struct Relay {
    /// Its own port.
    pub port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    target: u16,
    path: Path,
    traffic: Monitor<Traffic>,
}

/// The orders to a relay, and the account of its work.
#[derive(Default)]
struct Traffic {
    frozen: bool,
    refusing: bool,
    stopping: bool,
    accepted: usize,
    /// Bytes from the side that connects, and bytes to it.
    carried: [u64; 2],
    carriers: Vec<Weak<Carrier>>,
}

/// One relayed connection. Its threads share it, and the last one closes both sockets.
struct Carrier {
    ends: [TcpStream; 2],
    over: AtomicBool,
}

struct Piece {
    octets: Vec<u8>,
    due: Instant,
}

impl Relay {
    /// Starts a relay without limits.
    pub fn start(target: u16) -> Self {
        Self::with(target, Path::default())
    }

    /// Starts a relay over a path with these properties.
    pub fn with(target: u16, path: Path) -> Self {
        let port = ports::free();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let shared = Arc::new(Shared { target, path, traffic: Monitor::default() });
        let ours = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || ours.accept(&listener));
        Self { port, shared, acceptor: Some(acceptor) }
    }

    /// Resets all connections at both ends.
    pub fn cut(&self) {
        let carriers = std::mem::take(&mut self.shared.traffic.lock().carriers);
        for carrier in carriers.iter().filter_map(Weak::upgrade) {
            carrier.reset();
        }
        self.shared.traffic.notify();
        wait::until("the relay has closed its sockets", wait::patience(), || {
            carriers.iter().all(|carrier| carrier.strong_count() == 0).then_some(())
        });
    }

    /// Stops carrying bytes without a notice to either end, or carries them again.
    pub fn freeze(&self, frozen: bool) {
        self.shared.traffic.update(|traffic| traffic.frozen = frozen);
    }

    /// Resets new connections at once, or carries them again.
    pub fn refuse(&self, refusing: bool) {
        self.shared.traffic.lock().refusing = refusing;
    }

    /// Returns the number of connections carried so far.
    pub fn accepted(&self) -> usize {
        self.shared.traffic.lock().accepted
    }

    /// Waits until it has carried this many connections.
    #[track_caller]
    pub fn await_accepted(&self, count: usize) {
        let traffic = self.shared.traffic.wait(|traffic| traffic.accepted < count);
        assert!(
            traffic.accepted >= count,
            "the relay has carried {} connections, not {count}",
            traffic.accepted
        );
    }

    /// Returns the number of open connections.
    pub fn open(&self) -> usize {
        self.shared
            .traffic
            .lock()
            .carriers
            .iter()
            .filter(|carrier| carrier.strong_count() > 0)
            .count()
    }

    /// Returns the bytes carried from the side that connects, and to it.
    pub fn carried(&self) -> [u64; 2] {
        self.shared.traffic.lock().carried
    }

    /// Waits until it has carried this many bytes each way.
    #[track_caller]
    pub fn await_carried(&self, octets: [u64; 2]) {
        let traffic = self
            .shared
            .traffic
            .wait(|traffic| traffic.carried[0] < octets[0] || traffic.carried[1] < octets[1]);
        let enough = traffic.carried[0] >= octets[0] && traffic.carried[1] >= octets[1];
        assert!(enough, "the relay has carried {:?} bytes, not {octets:?}", traffic.carried);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.traffic.lock().stopping = true;
        for carrier in self.shared.traffic.lock().carriers.iter().filter_map(Weak::upgrade) {
            carrier.reset();
        }
        self.shared.traffic.notify();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.acceptor.take() {
            let _ = thread.join();
        }
    }
}

impl Carrier {
    fn reset(&self) {
        self.over.store(true, Ordering::SeqCst);
        for end in &self.ends {
            client::reset_on_close(end);
            // Wakes the reader, and puts nothing on the wire.
            let _ = end.shutdown(Shutdown::Read);
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        let mut threads = Vec::new();
        for near in listener.incoming() {
            let Ok(near) = near else { break };
            if self.traffic.lock().stopping {
                break;
            }
            let refusing = self.traffic.lock().refusing;
            let far = (!refusing).then(|| TcpStream::connect(("127.0.0.1", self.target)));
            let Some(Ok(far)) = far else {
                client::reset_on_close(&near);
                continue;
            };
            for end in [&near, &far] {
                let _ = end.set_nodelay(true);
                let _ = end.set_write_timeout(Some(TICK));
                if self.path.rate.is_some() {
                    let _ = SockRef::from(end).set_recv_buffer_size(NARROW);
                    let _ = SockRef::from(end).set_send_buffer_size(NARROW);
                }
            }
            let carrier = Arc::new(Carrier { ends: [near, far], over: AtomicBool::new(false) });
            self.traffic.update(|traffic| {
                traffic.accepted += 1;
                traffic.carriers.push(Arc::downgrade(&carrier));
            });
            let pieces = if self.path.rate.is_some() { 1 } else { 256 };
            for direction in [0, 1] {
                let (sender, receiver) = sync_channel(pieces);
                let (shared, ours) = (Arc::clone(self), Arc::clone(&carrier));
                threads.push(std::thread::spawn(move || shared.take(&ours, direction, &sender)));
                let (shared, ours) = (Arc::clone(self), Arc::clone(&carrier));
                threads.push(std::thread::spawn(move || shared.give(&ours, direction, &receiver)));
            }
        }
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// Reads one direction of a connection.
    fn take(&self, carrier: &Carrier, direction: usize, sender: &SyncSender<Piece>) {
        let size = self.path.rate.map_or(64 * 1024, |rate| {
            usize::try_from(rate / 100).unwrap_or(usize::MAX).clamp(64, 64 * 1024)
        });
        let mut buffer = vec![0; size];
        while !carrier.is_over() {
            let octets = match (&carrier.ends[direction]).read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => buffer[..count].to_vec(),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => {
                    carrier.reset();
                    break;
                }
            };
            let mut piece = Piece { octets, due: Instant::now() + self.path.delay };
            while let Err(error) = sender.try_send(piece) {
                match error {
                    TrySendError::Full(back) if !carrier.is_over() => piece = back,
                    _ => return,
                }
                wait::pause(Duration::from_millis(1));
            }
        }
    }

    /// Writes one direction of a connection.
    fn give(&self, carrier: &Carrier, direction: usize, receiver: &Receiver<Piece>) {
        let mut to = &carrier.ends[1 - direction];
        loop {
            let piece = match receiver.recv_timeout(TICK) {
                Ok(piece) => piece,
                Err(RecvTimeoutError::Timeout) if !carrier.is_over() => continue,
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            wait::pause(piece.due.saturating_duration_since(Instant::now()));
            if let Some(rate) = self.path.rate {
                wait::pause(Duration::from_secs_f64(piece.octets.len() as f64 / rate as f64));
            }
            let mut rest = &piece.octets[..];
            while !rest.is_empty() {
                self.stand_still(carrier);
                if carrier.is_over() {
                    return;
                }
                match to.write(rest) {
                    Ok(count) => rest = &rest[count..],
                    Err(error)
                        if matches!(
                            error.kind(),
                            ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                        ) => {}
                    Err(_) => {
                        carrier.reset();
                        return;
                    }
                }
            }
            self.traffic.update(|traffic| traffic.carried[direction] += piece.octets.len() as u64);
        }
        if !carrier.is_over() {
            let _ = to.shutdown(Shutdown::Write);
        }
    }

    fn stand_still(&self, carrier: &Carrier) {
        let held = |traffic: &mut Traffic| traffic.frozen && !traffic.stopping;
        while !carrier.is_over() && held(&mut self.traffic.wait_for(TICK, held)) {}
    }
}

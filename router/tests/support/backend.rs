//! Servers behind a router, both well-behaved and not.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::client::{self, Account, End};
use super::pattern::{self, Check};
use super::{Monitor, ports, wait};

/// The behavior of a server on each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// Answers HTTP requests with [`client::HELLO`].
    Hello,
    /// Echoes the input, and ends when the client has ended.
    Echo,
    /// Counts and checks the pattern. When the client has ended, answers with the number of bytes
    /// in decimal.
    Sink,
    /// Sends this many bytes of the pattern, while it reads and checks its input.
    Exchange(u64),
    /// Reads nothing until released, then acts as a [`Serve::Sink`].
    Stall,
    /// Reads everything and sends nothing. Ends when the client has ended.
    Silent,
    /// Sends `bye`, ends its half at once, then reads and checks to the end.
    EndsFirst,
    /// Resets the connection once this many bytes have arrived.
    ResetAfter(u64),
    /// Sends this many bytes of the pattern, then resets the connection.
    ResetAfterSending(u64),
    /// Reads a little of the request, sends this many bytes of the pattern, and resets the
    /// connection.
    Refuses(u64),
}

/// A server on a port of this machine.
pub struct Backend {
    /// Its port.
    pub port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

type Shared = Monitor<Tally>;

/// The account of a server.
#[derive(Default)]
struct Tally {
    accepted: usize,
    open: HashMap<usize, TcpStream>,
    received: u64,
    accounts: VecDeque<Account>,
    released: bool,
    stopping: bool,
}

impl Backend {
    pub fn start(serve: Serve) -> Self {
        let port = ports::free();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&ours, &listener, serve));
        Self { port, shared, acceptor: Some(acceptor) }
    }

    /// Returns the number of connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.lock().accepted
    }

    /// Returns the number of open connections.
    pub fn open(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// Returns the number of bytes that have arrived on all connections.
    pub fn received(&self) -> u64 {
        self.shared.lock().received
    }

    /// Waits until this many bytes have arrived.
    #[track_caller]
    pub fn await_received(&self, octets: u64) {
        let tally = self.shared.wait(|tally| tally.received < octets);
        assert!(tally.received >= octets, "the server has {} bytes, not {octets}", tally.received);
    }

    /// Waits until it has accepted this many connections.
    #[track_caller]
    pub fn await_accepted(&self, count: usize) {
        let tally = self.shared.wait(|tally| tally.accepted < count);
        assert!(
            tally.accepted >= count,
            "the server has accepted {} connections, not {count}",
            tally.accepted
        );
    }

    /// Waits for a connection to end, and returns its account. It returns each once, in the order
    /// of their ends.
    #[track_caller]
    pub fn next_account(&self) -> Account {
        let mut tally = self.shared.wait(|tally| tally.accounts.is_empty());
        let open = tally.open.len();
        tally
            .accounts
            .pop_front()
            .unwrap_or_else(|| panic!("no connection of the server ended; {open} are open"))
    }

    /// Releases the stalled connections, both present and future ones.
    pub fn release(&self) {
        self.shared.update(|tally| tally.released = true);
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.update(|tally| {
            tally.stopping = true;
            for stream in tally.open.values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        // Wakes the acceptor.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.acceptor.take() {
            let _ = thread.join();
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, serve: Serve) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        let Ok(stream) = stream else { break };
        let mut tally = shared.lock();
        if tally.stopping {
            break;
        }
        let id = tally.accepted;
        tally.accepted += 1;
        if let Ok(handle) = stream.try_clone() {
            tally.open.insert(id, handle);
        }
        drop(tally);
        shared.notify();
        let shared = Arc::clone(shared);
        threads.push(std::thread::spawn(move || serve_one(&shared, id, stream, serve)));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn serve_one(shared: &Shared, id: usize, stream: TcpStream, serve: Serve) {
    let _ = stream.set_nodelay(true);
    let account =
        Served { shared, stream: &stream, check: Check::default(), sent: 0, refused: None }
            .run(serve);
    // The last handle closes the socket, so it goes before the account is published.
    shared.lock().open.remove(&id);
    drop(stream);
    shared.update(|tally| tally.accounts.push_back(account));
}

/// A connection that the server serves.
struct Served<'a> {
    shared: &'a Shared,
    stream: &'a TcpStream,
    check: Check,
    sent: u64,
    refused: Option<ErrorKind>,
}

impl Served<'_> {
    fn run(mut self, serve: Serve) -> Account {
        let end = match serve {
            Serve::Hello => self.hello(),
            Serve::Echo => self.read(|connection, octets| connection.write(octets)),
            Serve::Sink => self.sink(),
            Serve::Silent => self.read(|_, _| true),
            Serve::EndsFirst => {
                self.write(b"bye");
                let _ = self.stream.shutdown(Shutdown::Write);
                self.read(|_, _| true)
            }
            Serve::Stall => {
                drop(self.shared.wait_on(|tally| !tally.released && !tally.stopping));
                self.sink()
            }
            Serve::ResetAfter(octets) => {
                client::reset_on_close(self.stream);
                self.read(|connection, _| connection.check.received() < octets)
            }
            Serve::ResetAfterSending(octets) | Serve::Refuses(octets) => {
                client::reset_on_close(self.stream);
                if matches!(serve, Serve::Refuses(_)) {
                    self.read(|_, _| false);
                }
                while self.sent < octets && self.refused.is_none() {
                    let left = usize::try_from(octets - self.sent).unwrap_or(usize::MAX);
                    self.write(pattern::from(self.sent, left.min(64 * 1024)));
                }
                // A reset discards bytes that the router has not acknowledged, so wait until it
                // has all of them.
                wait::attempt(wait::patience(), || (unsent(self.stream) == 0).then_some(()));
                End::Open
            }
            Serve::Exchange(octets) => {
                let account = self.exchange(octets);
                return account;
            }
        };
        Account {
            sent: self.sent,
            refused: self.refused,
            received: self.check.received(),
            wrong_at: self.check.wrong_at(),
            end,
        }
    }

    /// Reads to the end, or until `each` returns false.
    fn read(&mut self, mut each: impl FnMut(&mut Self, &[u8]) -> bool) -> End {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return End::Clean,
                Ok(count) => {
                    self.check.take(&buffer[..count]);
                    self.shared.update(|tally| tally.received += count as u64);
                    if !each(self, &buffer[..count]) {
                        return End::Open;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return End::Reset,
            }
        }
    }

    fn write(&mut self, octets: &[u8]) -> bool {
        match self.stream.write_all(octets) {
            Ok(()) => self.sent += octets.len() as u64,
            Err(error) => self.refused = Some(error.kind()),
        }
        self.refused.is_none()
    }

    fn hello(&mut self) -> End {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
            client::HELLO.len(),
            client::HELLO
        );
        let mut head = Vec::new();
        self.read(move |connection, octets| {
            for &octet in octets {
                head.push(octet);
                if head.ends_with(b"\r\n\r\n") {
                    head.clear();
                    if !connection.write(answer.as_bytes()) {
                        return false;
                    }
                }
            }
            true
        })
    }

    fn sink(&mut self) -> End {
        let end = self.read(|_, _| true);
        if end == End::Clean {
            let answer = self.check.received().to_string();
            self.write(answer.as_bytes());
        }
        end
    }

    fn exchange(&mut self, octets: u64) -> Account {
        let stream = self.stream;
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                let mut outgoing = stream.try_clone().expect("a second handle of the socket");
                let result = client::send(&mut outgoing, octets, |_| {});
                if result.1.is_none() {
                    let _ = outgoing.shutdown(Shutdown::Write);
                }
                result
            });
            let end = self.read(|_, _| true);
            if end != End::Clean {
                let _ = stream.shutdown(Shutdown::Both);
            }
            let (sent, refused) = writer.join().expect("the writer does not panic");
            Account {
                sent,
                refused,
                received: self.check.received(),
                wrong_at: self.check.wrong_at(),
                end,
            }
        })
    }
}

/// Returns the bytes that the other end has not acknowledged.
fn unsent(stream: &TcpStream) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else { return 0 };
    let (local, peer) =
        (format!("0100007F:{:04X}", local.port()), format!("0100007F:{:04X}", peer.port()));
    table
        .lines()
        .find_map(|line| {
            let fields: Vec<_> = line.split_ascii_whitespace().take(5).collect();
            let [_, from, to, _, queues] = fields[..] else { return None };
            let (sending, _) = queues.split_once(':')?;
            (from == local && to == peer).then(|| usize::from_str_radix(sending, 16).unwrap_or(0))
        })
        .unwrap_or(0)
}

/// Reads at a pace, in bytes a second.
pub fn read_slowly(
    stream: &mut TcpStream,
    octets_per_second: usize,
    check: &mut Check,
    mut go_on: impl FnMut() -> bool,
) {
    const STEPS: usize = 50;
    let mut buffer = vec![0; (octets_per_second / STEPS).max(1)];
    while go_on() {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => check.take(&buffer[..count]),
            _ => break,
        }
        wait::pause(Duration::from_secs(1) / STEPS as u32);
    }
}

//! The other end: a server that echoes, swallows, produces or answers HTTP.
//!
//! One thread accepts and gives connections to all threads in turn, so that long-lived connections
//! are spread evenly. A connection at rest holds no buffer.
//!
//! # What sink and source say
//!
//! A stream of a *source* begins with a [`Preamble`], by which the client knows the pattern that
//! follows. If a stream to a *sink* begins with one, the sink answers the end of the stream with a
//! [`Receipt`]; the bytes of any other client are swallowed without an answer.

mod http;
mod marks;
mod totals;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

pub use marks::{Preamble, Receipt};
use serde::Serialize;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::sleep;
pub use totals::Totals;

use crate::fleet::runtime;
use crate::{BenchError, limits, pattern};

/// Bytes of one read or write.
const CHUNK: usize = 64 * 1024;

/// Buffers a thread keeps for the next connection that has something to read.
const SPARE_BUFFERS: usize = 64;

/// The accept queue; the system's own limit may be lower.
const BACKLOG: i32 = 4096;

/// The pause of the server when it cannot accept for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// When a silent connection is probed, and how often: one whose peer has vanished goes away.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The service of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Sends back what it receives, and ends when the client ends.
    Echo,
    /// Receives, and gives a receipt to those who ask for one.
    Sink,
    /// Sends the pattern.
    Source,
    /// Answers HTTP/1.1 requests.
    Http,
}

/// The options of a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen at; port 0 takes a free one.
    pub listen: String,
    /// The service for connections.
    pub mode: Mode,
    /// Threads, each with a current-thread runtime.
    pub threads: usize,
    /// Source: bytes of a stream after its preamble; none for no end.
    pub bytes: Option<u64>,
    /// HTTP: bytes of an answer's body; none for a greeting.
    pub body: Option<usize>,
    /// The size of each connection's socket buffers; none for the system's, which grow to
    /// megabytes: too much for thousands of streams that never end.
    pub buffer: Option<usize>,
}

impl Options {
    /// A server of `mode` on a free port of 127.0.0.1, with one thread.
    pub fn new(mode: Mode) -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            mode,
            threads: 1,
            bytes: None,
            body: None,
            buffer: None,
        }
    }
}

/// A running server; dropping it closes its listener and its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    totals: Arc<Totals>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// The data that the tasks of one thread share.
struct Shard {
    mode: Mode,
    bytes: Option<u64>,
    body: Vec<u8>,
    totals: Arc<Totals>,
    /// Numbers the streams of all threads.
    next: Arc<AtomicUsize>,
    buffers: RefCell<Vec<Box<[u8]>>>,
}

impl Server {
    /// Listens and starts the threads.
    pub fn start(options: &Options) -> Result<Self, BenchError> {
        limits::raise_descriptors();
        let listener = listen(&options.listen, options.buffer)?;
        let address = listener.local_addr()?;
        let totals = Arc::<Totals>::default();
        let next = Arc::<AtomicUsize>::default();
        let (stop, stopped) = watch::channel(false);
        let (inlets, outlets): (Vec<_>, Vec<_>) =
            (0..options.threads.max(1)).map(|_| mpsc::unbounded_channel()).unzip();
        let mut listener = Some((listener, inlets));
        let mut threads = Vec::new();
        for (index, outlet) in outlets.into_iter().enumerate() {
            let runtime = runtime()?;
            let (mode, bytes, body) = (options.mode, options.bytes, http::body(options.body));
            let (totals, next, stopped) = (Arc::clone(&totals), Arc::clone(&next), stopped.clone());
            let listener = listener.take();
            threads.push(std::thread::Builder::new().name(format!("server-{index}")).spawn(
                move || {
                    let shard = Rc::new(Shard {
                        mode,
                        bytes,
                        body,
                        totals,
                        next,
                        buffers: RefCell::default(),
                    });
                    let work = async {
                        if let Some((listener, inlets)) = listener {
                            spawn_local(Rc::clone(&shard).accept(listener, inlets));
                        }
                        Rc::clone(&shard).run(outlet).await;
                    };
                    runtime.block_on(LocalSet::new().run_until(until_stopped(stopped, work)));
                },
            )?);
        }
        Ok(Self { address, totals, stop, threads })
    }

    /// Returns the address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its counts since its start.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            // A panic has been printed by its thread.
            let _ = thread.join();
        }
    }
}

/// Opens the listening socket. What is set on it holds for the connections it accepts.
fn listen(address: &str, buffer: Option<usize>) -> io::Result<std::net::TcpListener> {
    let mut refused =
        io::Error::new(io::ErrorKind::InvalidInput, format!("{address} is no address"));
    for address in address.to_socket_addrs()? {
        let open = || {
            let socket =
                Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.set_tcp_nodelay(true)?;
            socket.set_tcp_keepalive(
                &TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE),
            )?;
            if let Some(octets) = buffer {
                limits::bound_buffers(&socket, octets)?;
            }
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket)
        };
        match open() {
            Ok(socket) => return Ok(socket.into()),
            Err(error) => {
                let error: io::Error = error;
                refused = io::Error::new(error.kind(), format!("listen on {address}: {error}"));
            }
        }
    }
    Err(refused)
}

async fn until_stopped(mut stopped: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        _ = stopped.wait_for(|stop| *stop) => {}
        () = work => {}
    }
}

impl Shard {
    /// Gives the connections to all threads in turn, this one being the first.
    async fn accept(
        self: Rc<Self>,
        listener: std::net::TcpListener,
        inlets: Vec<mpsc::UnboundedSender<std::net::TcpStream>>,
    ) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return eprintln!("skbench server: cannot accept: {error}"),
        };
        let mut complained = false;
        let mut turns = (0..inlets.len()).cycle();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    self.totals.accepted.fetch_add(1, Ordering::Relaxed);
                    match turns.next().filter(|turn| *turn > 0).and_then(|turn| inlets.get(turn)) {
                        None => Rc::clone(&self).spawn(stream),
                        Some(inlet) => {
                            if let Ok(stream) = stream.into_std() {
                                let _ = inlet.send(stream);
                            }
                        }
                    }
                }
                Err(error) => {
                    if limits::is_descriptor_shortage(&error) && !complained {
                        complained = true;
                        eprintln!(
                            "skbench server: cannot accept for now: {error}; clients wait (said \
                             once)"
                        );
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves the connections that the accepting thread hands over.
    async fn run(self: Rc<Self>, mut connections: mpsc::UnboundedReceiver<std::net::TcpStream>) {
        while let Some(stream) = connections.recv().await {
            match TcpStream::from_std(stream) {
                Ok(stream) => Rc::clone(&self).spawn(stream),
                Err(_) => _ = self.totals.failed.fetch_add(1, Ordering::Relaxed),
            }
        }
    }

    fn spawn(self: Rc<Self>, stream: TcpStream) {
        spawn_local(async move {
            if self.serve(stream).await.is_err() {
                self.totals.failed.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        match self.mode {
            Mode::Echo => self.echo(&mut stream).await,
            Mode::Sink => self.sink(&mut stream).await,
            Mode::Source => self.source(&mut stream).await,
            Mode::Http => http::serve(&mut stream, &self.body, &self.totals).await,
        }
    }

    async fn echo(&self, stream: &mut TcpStream) -> io::Result<()> {
        loop {
            let (buffer, read) = self.read(stream).await?;
            self.totals.received.fetch_add(read as u64, Ordering::Relaxed);
            let data = buffer.get(..read).unwrap_or_default();
            let sent = stream.write_all(data).await;
            self.give_back(buffer);
            sent?;
            if read == 0 {
                return stream.shutdown().await;
            }
            self.totals.sent.fetch_add(read as u64, Ordering::Relaxed);
        }
    }

    /// Reads into a buffer that is held only once there is something to read.
    async fn read(&self, stream: &mut TcpStream) -> io::Result<(Box<[u8]>, usize)> {
        poll_fn(|context| {
            let mut buffer = self.buffer();
            let mut into = ReadBuf::new(&mut buffer);
            let polled = Pin::new(&mut *stream).poll_read(context, &mut into);
            let read = into.filled().len();
            match polled {
                Poll::Ready(Ok(())) => Poll::Ready(Ok((buffer, read))),
                other => {
                    self.give_back(buffer);
                    other.map_ok(|()| (Box::default(), 0))
                }
            }
        })
        .await
    }

    async fn sink(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut buffer = self.buffer();
        let receipt = self.swallow(stream, &mut buffer).await;
        self.give_back(buffer);
        if let Some(receipt) = receipt? {
            stream.write_all(&receipt.encode()).await?;
        }
        stream.shutdown().await
    }

    async fn swallow(
        &self,
        stream: &mut TcpStream,
        buffer: &mut [u8],
    ) -> io::Result<Option<Receipt>> {
        let mut held = 0usize;
        while held < Preamble::SIZE {
            let read = stream.read(buffer.get_mut(held..).unwrap_or_default()).await?;
            if read == 0 {
                break;
            }
            self.totals.received.fetch_add(read as u64, Ordering::Relaxed);
            held += read;
        }
        let preamble = Preamble::decode(buffer.get(..held).unwrap_or_default());
        let mut receipt = Receipt::default();
        let mut from = if preamble.is_some() { Preamble::SIZE } else { 0 };
        while held > 0 {
            let data = buffer.get(from..held).unwrap_or_default();
            if let Some(seed) = preamble.and_then(|p| p.seed).filter(|_| receipt.wrong.is_none()) {
                receipt.wrong =
                    pattern::check(seed, receipt.received, data).err().map(|wrong| wrong.offset);
            }
            receipt.received = receipt.received.saturating_add(data.len() as u64);
            from = 0;
            held = stream.read(buffer).await?;
            self.totals.received.fetch_add(held as u64, Ordering::Relaxed);
        }
        Ok(preamble.map(|_| receipt))
    }

    async fn source(&self, stream: &mut TcpStream) -> io::Result<()> {
        let seed = pattern::seed(self.next.fetch_add(1, Ordering::Relaxed));
        stream.write_all(&Preamble { seed: Some(seed) }.encode()).await?;
        let (mut offset, limit) = (0u64, self.bytes.unwrap_or(u64::MAX));
        while offset < limit {
            let left = usize::try_from(limit - offset).unwrap_or(usize::MAX);
            let sent = stream.write(pattern::slice(seed, offset, left.min(CHUNK))).await?;
            offset = offset.saturating_add(sent as u64);
            self.totals.sent.fetch_add(sent as u64, Ordering::Relaxed);
            // A reader that keeps up would have this thread for as long as a task may run, and
            // thousands of streams wait their turn.
            yield_now().await;
        }
        stream.shutdown().await?;
        // Closing with bytes unread would reset the connection and destroy what is still on its
        // way.
        let mut scratch = [0; 1024];
        while stream.read(&mut scratch).await? > 0 {}
        Ok(())
    }

    fn buffer(&self) -> Box<[u8]> {
        self.buffers.borrow_mut().pop().unwrap_or_else(|| vec![0; CHUNK].into_boxed_slice())
    }

    fn give_back(&self, buffer: Box<[u8]>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < SPARE_BUFFERS {
            buffers.push(buffer);
        }
    }
}

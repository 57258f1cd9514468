//! A way that takes its time: a relay that delivers bytes late, and those behind a lost segment
//! later.
//!
//! What it imitates is the time that a segment and its repetition take. What a loss does to the
//! rate at which a kernel sends, it does not: the kernels at both ends see two short ways.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until};

/// Bytes of a segment, each of which may be lost.
const SEGMENT: usize = 1448;

/// Bytes of one read.
const CHUNK: usize = 64 * 1024;

/// Reads that may be under way each way: 256 MiB at most, more than any window.
const UNDER_WAY: usize = 4096;

/// The pause of the relay when it cannot accept for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// The options of a relay.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen at; port 0 takes a free one.
    pub listen: String,
    /// The target of connections.
    pub to: String,
    /// The time that bytes are under way, in one direction.
    pub delay: Duration,
    /// The share of segments that are lost, from 0 to 1.
    pub loss: f64,
}

/// Listens, and gives the address and what serves it until it is dropped.
pub async fn start(options: Options) -> io::Result<(SocketAddr, impl Future<Output = ()>)> {
    let listener = TcpListener::bind(&options.listen).await?;
    let address = listener.local_addr()?;
    Ok((address, serve(listener, options)))
}

async fn serve(listener: TcpListener, options: Options) {
    for seed in 1.. {
        match listener.accept().await {
            Ok((from, _)) => drop(tokio::spawn(join(from, options.clone(), seed))),
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn join(from: TcpStream, options: Options, seed: u64) {
    let Ok(to) = TcpStream::connect(&options.to).await else { return };
    let (_, _) = (from.set_nodelay(true), to.set_nodelay(true));
    let ((from_in, from_out), (to_in, to_out)) = (from.into_split(), to.into_split());
    let forth = carry(from_in, to_out, Weather::new(&options, seed.wrapping_mul(2)));
    let back = carry(to_in, from_out, Weather::new(&options, seed.wrapping_mul(2) + 1));
    tokio::join!(forth, back);
}

/// One way, from one end to the other and to its end.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: Weather) {
    let (inlet, mut outlet) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let read = async move {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let ended = !matches!(from.read_buf(&mut chunk).await, Ok(octets) if octets > 0);
            let due = weather.arrival(Instant::now(), chunk.len());
            // An empty chunk is the end, which takes its time as well.
            if inlet.send((due, chunk)).await.is_err() || ended {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = outlet.recv().await {
            sleep_until(due.into()).await;
            if chunk.is_empty() || to.write_all(&chunk).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

/// When bytes arrive.
#[derive(Debug)]
struct Weather {
    delay: Duration,
    loss: f64,
    /// Nothing arrives before what was sent before it.
    last: Option<Instant>,
    state: u64,
}

impl Weather {
    const fn new(options: &Options, seed: u64) -> Self {
        Self { delay: options.delay, loss: options.loss, last: None, state: seed }
    }

    /// A number from 0 to 1, the same series for the same seed (SplitMix64).
    #[expect(clippy::cast_precision_loss, reason = "53 bits are enough")]
    const fn random(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn arrival(&mut self, now: Instant, octets: usize) -> Instant {
        let lost =
            self.loss > 0.0 && (0..octets.div_ceil(SEGMENT)).any(|_| self.random() < self.loss);
        // The receiver misses a lost segment, and gets it again a round trip later.
        let due = now + if lost { self.delay * 3 } else { self.delay };
        let due = self.last.map_or(due, |last| due.max(last));
        self.last = Some(due);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_comes_later_and_what_is_behind_it_waits() {
        let options = Options {
            listen: String::new(),
            to: String::new(),
            delay: Duration::from_millis(25),
            loss: 0.01,
        };
        let mut weather = Weather::new(&options, 7);
        let start = Instant::now();
        let mut late = 0;
        let mut last = start;
        for n in 0..10_000 {
            let now = start + Duration::from_micros(n);
            let due = weather.arrival(now, SEGMENT);
            assert!(due >= last && due >= now + options.delay && due <= now + options.delay * 3);
            late += u32::from(due == now + options.delay * 3);
            last = due;
        }
        assert!((60..140).contains(&late), "{late}");
    }

    #[tokio::test]
    async fn octets_and_ends_arrive_late_and_whole() {
        let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = Options {
            listen: "127.0.0.1:0".to_owned(),
            to: far.local_addr().unwrap().to_string(),
            delay: Duration::from_millis(20),
            loss: 0.0,
        };
        let (address, relay) = start(options).await.unwrap();
        drop(tokio::spawn(relay));
        let mut near = TcpStream::connect(address).await.unwrap();
        let (mut served, _) = far.accept().await.unwrap();
        let begun = Instant::now();
        near.write_all(b"there").await.unwrap();
        near.shutdown().await.unwrap();
        let mut octets = Vec::new();
        served.read_to_end(&mut octets).await.unwrap();
        served.write_all(b"and back").await.unwrap();
        drop(served);
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        assert_eq!((&octets[..], &answer[..]), (&b"there"[..], &b"and back"[..]));
        assert!(begun.elapsed() >= Duration::from_millis(40));
    }
}

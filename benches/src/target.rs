//! The other end: its addresses, and how a connection to it is opened.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::{BenchError, Common};

/// A resolved target.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    addresses: Arc<[SocketAddr]>,
    /// The address that last took a connection: tried first, so that a name with a dead address
    /// costs one refusal a run.
    good: Arc<AtomicUsize>,
    timeout: Duration,
}

impl Target {
    /// Resolves the target, once for the whole run.
    pub(crate) async fn resolve(common: &Common) -> Result<Self, BenchError> {
        let error = |reason: String| BenchError::Resolve { target: common.target.clone(), reason };
        let found = timeout(common.timeout, lookup_host(common.target.as_str()))
            .await
            .map_err(|_| error(format!("no answer within {:?}", common.timeout)))?
            .map_err(|e| error(e.to_string()))?;
        let addresses: Arc<[SocketAddr]> = found.collect();
        if addresses.is_empty() {
            return Err(error("the name has no address".to_owned()));
        }
        Ok(Self { addresses, good: Arc::default(), timeout: common.timeout })
    }

    /// How long a task may take to open its connection, exchange once, and end, if every step takes
    /// its whole time-out: the conductor's bound, which is only met by a defect.
    pub(crate) fn patience(&self) -> Duration {
        let steps = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX).saturating_add(4);
        self.timeout.saturating_mul(steps).saturating_add(Duration::from_secs(30))
    }

    /// Opens a connection, trying every address in turn, each within the time-out.
    pub(crate) async fn connect(&self) -> Result<TcpStream, Failure> {
        let good = self.good.load(Ordering::Relaxed);
        let mut failure = None;
        for turn in 0..self.addresses.len() {
            let index = (good + turn) % self.addresses.len();
            let Some(address) = self.addresses.get(index) else { continue };
            match timeout(self.timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    if index != good {
                        self.good.store(index, Ordering::Relaxed);
                    }
                    stream.set_nodelay(true).map_err(|e| Failure::io("TCP_NODELAY", &e))?;
                    return Ok(stream);
                }
                Ok(Err(error)) => {
                    failure = Some(Failure::io(&format!("connect to {address}"), &error))
                }
                Err(_) => {
                    failure = Some(Failure::timeout(&format!("connect to {address}"), self.timeout))
                }
            }
        }
        Err(failure
            .unwrap_or_else(|| Failure::new(crate::failure::Kind::Other, "connect: no address")))
    }

    /// Opens a connection and proves it by one exchange, which sets up whatever the first bytes of
    /// a connection do.
    pub(crate) async fn open(&self, talk: &mut impl Exchange) -> Result<TcpStream, Failure> {
        let mut stream = self.connect().await?;
        talk.exchange(&mut stream, self.timeout).await?;
        Ok(stream)
    }
}

/// Makes the close of `stream` a reset.
pub(crate) fn reset_on_close(stream: &TcpStream) -> Result<(), Failure> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).map_err(|e| Failure::io("SO_LINGER", &e))
}

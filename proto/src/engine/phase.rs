//! The phases of a connection: SASL (part 5.3.2), then the connection states of part 2.4.6.
//!
//! A client without SASL begins in `AmqpHeader`; everyone else begins in `SaslHeader`.
//!
//! ```text
//!   +------------+  SASL header  +-----------------------------+
//!   | SaslHeader |-------------->| Sasl                        |
//!   +------------+               |                             |
//!         |                      | client                      |
//!         |                      |   Negotiating               |
//!         |                      |     | mechanisms, send init |
//!         |                      |     v                       |
//!         |                      |   Initiated                 |
//!         |                      | server                      |
//!         |                      |   Negotiating               |
//!         |                      |     | init with PLAIN       |
//!         |                      |     v                       |
//!         |                      |   Verifying                 |
//!         |                      +-----------------------------+
//!         |                                     | outcome ok
//!         |                                     v
//!         | AMQP header, where           +------------+
//!         | the server allows it         | AmqpHeader |   client: sends AMQP header, open
//!         |                              +------------+
//!         |                                     | AMQP header
//!         |              +------+               |
//!         +------------->| Open |<--------------+       client: OPEN_SENT, server: HDR_EXCH
//!                        +------+
//!                 open    |    |  open, and the owner holds the answer
//!             send open   |    v
//!                         |  +---------+
//!                         |  | Holding |                OPEN_RCVD
//!                         |  +---------+
//!                         v    | admit: send open
//!                        +--------+
//!                        | Opened |                     OPENED
//!                        +--------+
//!   close() by the owner  |    |  close, a violation, silence: send close
//!            send close   v    |
//!                  +---------+ |
//!                  | Closing | |                        CLOSE_SENT, DISCARDING
//!                  +---------+ |
//!              close, or  |    |
//!              a timeout  v    v
//!                        +--------+
//!                        | Closed |                     END
//!                        +--------+
//! ```
//!
//! Every phase before `Opened` goes to `Closed` by an error, by the end of the time for the
//! handshake, or by `close()`.

/// Where a connection stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// The peer's SASL header is awaited; a server may take an AMQP header instead.
    SaslHeader,
    /// SASL frames are exchanged.
    Sasl(SaslPhase),
    /// The peer's AMQP header is awaited.
    AmqpHeader,
    /// The peer's open is awaited. A client has sent its own.
    Open,
    /// The peer's open has arrived. A server's own waits for the owner.
    Holding,
    /// Both ends have sent open.
    Opened,
    /// This end has sent close and awaits the peer's.
    Closing,
    /// Nothing is sent or taken.
    Closed,
}

/// Where SASL stands (part 5.3.2).
#[derive(Clone, Copy, Debug)]
pub(super) enum SaslPhase {
    /// No mechanism is chosen. A client awaits mechanisms, a server awaits init.
    Negotiating,
    /// As client: init with this mechanism was sent, the outcome is awaited.
    Initiated(&'static str),
    /// As server: the owner looks at credentials that came by PLAIN.
    Verifying,
}

impl Phase {
    /// Whether both ends have sent open, and neither close.
    pub(super) const fn is_opened(self) -> bool {
        matches!(self, Self::Opened)
    }

    /// Whether the connection has ended.
    pub(super) const fn is_closed(self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Whether the peer's open has arrived and no close was exchanged: both idle timeouts run.
    pub(super) const fn keeps_alive(self) -> bool {
        matches!(self, Self::Holding | Self::Opened)
    }
}

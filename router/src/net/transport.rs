//! The transport of an AMQP connection: a TLS or plain session, or the messages of a WebSocket upon
//! one.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::BytesMut;

use crate::tls::{Flushed, Input, Output, Received, Session, SessionError, SessionInfo};
use crate::websocket::WebSocket;

/// The transport of an AMQP connection. It is driven as a [`Session`] is.
#[derive(Debug)]
pub(super) enum Transport {
    Session(Session),
    WebSocket(Box<WebSocket>),
}

impl From<Session> for Transport {
    fn from(session: Session) -> Self {
        Self::Session(session)
    }
}

impl From<WebSocket> for Transport {
    fn from(websocket: WebSocket) -> Self {
        Self::WebSocket(Box::new(websocket))
    }
}

impl Transport {
    /// Returns the result of the TLS handshake, if there was one.
    pub(super) fn info(&self) -> Option<&Arc<SessionInfo>> {
        match self {
            Self::Session(session) => session.info(),
            Self::WebSocket(websocket) => websocket.info(),
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        match self {
            Self::Session(session) => session.is_tls(),
            Self::WebSocket(websocket) => websocket.is_tls(),
        }
    }

    pub(super) fn receive(
        &mut self,
        socket: &impl Input,
        scratch: &mut [u8],
        to: &mut BytesMut,
    ) -> Result<Received, SessionError> {
        match self {
            Self::Session(session) => session.receive(socket, scratch, to),
            Self::WebSocket(websocket) => websocket.receive(socket, scratch, to),
        }
    }

    pub(super) fn send(
        &mut self,
        socket: &impl Output,
        slices: &[IoSlice<'_>],
    ) -> Result<Flushed, SessionError> {
        match self {
            Self::Session(session) => session.send(socket, slices),
            Self::WebSocket(websocket) => websocket.send(socket, slices),
        }
    }

    pub(super) fn flush(&mut self, socket: &impl Output) -> io::Result<Flushed> {
        match self {
            Self::Session(session) => session.flush(socket),
            Self::WebSocket(websocket) => websocket.flush(socket),
        }
    }

    pub(super) fn wants_write(&self) -> bool {
        match self {
            Self::Session(session) => session.wants_write(),
            Self::WebSocket(websocket) => websocket.wants_write(),
        }
    }

    /// Returns the most bytes that may wait for the socket.
    pub(super) fn unflushed(&self) -> usize {
        match self {
            Self::Session(session) => session.unflushed(),
            Self::WebSocket(websocket) => websocket.unflushed(),
        }
    }

    /// Ends the sent bytes. Flush afterwards; sending afterwards is an error.
    pub(super) fn send_close_notify(&mut self) {
        match self {
            Self::Session(session) => session.send_close_notify(),
            Self::WebSocket(websocket) => websocket.send_close_notify(),
        }
    }
}

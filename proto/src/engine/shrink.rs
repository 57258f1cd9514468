//! Gives back the memory that a burst of links and deliveries has left in the tables.

use super::connection::Connection;

impl Connection {
    /// Gives back the memory that the tables do not need. Call it once a burst is over: it copies
    /// the rest.
    pub fn shrink(&mut self) {
        self.links.shrink();
        self.incoming.shrink();
        self.outgoing.shrink();
        self.sessions.shrink();
        self.channels.shrink_to_fit();
        self.local_channels.shrink_to_fit();
        self.events.shrink_to_fit();
        for session in self.sessions.values_mut() {
            session.handles.shrink_to_fit();
            session.remote_handles.shrink_to_fit();
            session.attaching.shrink_to_fit();
            session.incoming.shrink();
            session.outgoing.shrink();
        }
    }
}

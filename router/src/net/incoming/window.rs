//! The session windows that are left to close: for deliveries that hold much, and under pressure.

use skupper_proto::engine::SessionKey;

use super::Incoming;
use crate::net::context::Context;

impl Incoming {
    /// Adds a reason to leave a session's window to close.
    pub(in crate::net) fn hold_session(&mut self, cx: &mut Context, session: SessionKey) {
        let reasons = self.holds.entry(session).or_default();
        *reasons += 1;
        if *reasons == 1 {
            cx.engine.hold_window(session, true);
        }
    }

    /// Removes a reason to leave a session's window to close.
    pub(in crate::net) fn release_session(&mut self, cx: &mut Context, session: SessionKey) {
        let Some(reasons) = self.holds.get_mut(&session) else { return };
        *reasons = reasons.saturating_sub(1);
        if *reasons == 0 {
            self.holds.remove(&session);
            cx.engine.hold_window(session, false);
        }
    }
}

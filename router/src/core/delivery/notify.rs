//! How one end of a delivery wakes the owner of the other.

use std::sync::Arc;
use std::task::Waker;

use super::super::mailbox::Mailbox;

/// Names the owner to wake.
#[derive(Clone, Debug, Default)]
pub enum Notify {
    /// Wakes no owner.
    #[default]
    Nobody,
    /// A task that looks after this delivery alone.
    Task(Waker),
    /// A connection's task, which looks after many: it finds the slot in its mailbox.
    Slot(Arc<Mailbox>, u32),
    /// A party, which acts at once, on the thread of whoever wakes it.
    Call(Arc<dyn Party>),
}

/// An owner of an end that has no task of its own.
pub trait Party: std::fmt::Debug + Send + Sync {
    /// Acts on the other end's news. The caller holds no lock of the delivery.
    fn on_notice(self: Arc<Self>);
}

impl Notify {
    /// Wakes the owner. The caller must hold no lock of the delivery.
    pub(in super::super) fn wake(self) {
        match self {
            Self::Nobody => {}
            Self::Task(waker) => waker.wake(),
            Self::Slot(mailbox, slot) => mailbox.push_ready(slot),
            Self::Call(party) => party.on_notice(),
        }
    }
}

/// The owner of one end, and whether it has been woken.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) notify: Notify,
    /// Woken and not seen since: waking it again is needless.
    pub(super) pending: bool,
}

impl Side {
    /// Returns the owner to wake, if any. The caller wakes it once the delivery's lock is free.
    pub(super) fn wake(&mut self) -> Notify {
        match &self.notify {
            Notify::Nobody => Notify::Nobody,
            Notify::Task(_) | Notify::Call(_) => self.notify.clone(),
            Notify::Slot(..) if self.pending => Notify::Nobody,
            Notify::Slot(..) => {
                self.pending = true;
                self.notify.clone()
            }
        }
    }
}

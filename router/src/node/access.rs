//! Who may come in: the passwords that listeners take, and policy.

use crate::policy::Policy;
use crate::sasl::Passwords;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Passwords that are checked at a time. Each check takes a thread, a tenth of a second and 32 MiB; the rest waits, no longer than a
/// handshake may take.
const CHECKS: usize = 4;

/// What decides on who may come in.
#[derive(Debug)]
pub struct Access {
    /// The passwords of users, where there are some.
    pub passwords: Option<Arc<Passwords>>,
    /// What clients may do.
    pub policy: Arc<Policy>,
    /// Leave to check a password.
    pub checks: Arc<Semaphore>,
}

impl Default for Access {
    fn default() -> Self {
        Self { passwords: None, policy: Arc::default(), checks: Arc::new(Semaphore::new(CHECKS)) }
    }
}

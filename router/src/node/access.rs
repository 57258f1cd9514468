//! Access: the passwords that listeners take, and policy.

use std::sync::Arc;

use super::Checks;
use crate::policy::Policy;
use crate::sasl::Passwords;
use crate::socket::Neighbors;

/// Decides who may come in.
#[derive(Debug, Default)]
pub struct Access {
    /// The passwords of users, if there are any.
    pub passwords: Option<Arc<Passwords>>,
    /// The rights of clients.
    pub policy: Arc<Policy>,
    /// The queue of password checks.
    pub checks: Arc<Checks>,
    /// The hosts that routers have come from. Each port keeps some places for them.
    pub neighbors: Arc<Neighbors>,
}

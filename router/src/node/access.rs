//! Who may come in: the passwords that listeners take, and policy.

use std::sync::Arc;

use super::Checks;
use crate::policy::Policy;
use crate::sasl::Passwords;
use crate::socket::Neighbors;

/// What decides on who may come in.
#[derive(Debug, Default)]
pub struct Access {
    /// The passwords of users, where there are some.
    pub passwords: Option<Arc<Passwords>>,
    /// What clients may do.
    pub policy: Arc<Policy>,
    /// The order in which passwords are checked.
    pub checks: Arc<Checks>,
    /// Where routers have come from: some places of each port are kept for them.
    pub neighbors: Arc<Neighbors>,
}

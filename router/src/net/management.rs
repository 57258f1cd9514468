//! Where requests to management nodes may go from a connection: the listener's `management`
//! attribute.

use skupper_proto::address::AddressClass;

use super::context::Context;
use crate::schema::ManagementAccess;

/// The names of management nodes: every one has the first, and each router knows its own by the
/// second too.
const NAMES: [&str; 2] = ["$management", "$_management_internal"];

impl Context {
    /// Whether the listener lets a message go to this address as far as management is concerned.
    ///
    /// This router's own node judges a request by its operation. Another router takes the request
    /// for this router's, and answers everything: without full access nothing goes on to a node of
    /// another router.
    pub(super) fn may_manage_at(&self, address: &str) -> bool {
        if self.settings.management == ManagementAccess::Full
            || !NAMES.iter().any(|name| address.contains(name))
        {
            return true;
        }
        let key = self.core.read(address).key();
        matches!(key.class, AddressClass::Local | AddressClass::Mobile) && NAMES.contains(&key.text)
    }
}

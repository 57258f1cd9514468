//! The listener's `management` attribute: which management nodes a connection may ask.

use skupper_proto::address::AddressClass;

use super::context::Context;
use crate::schema::ManagementAccess;

/// The names of management nodes. Every router knows its own node by both.
const NAMES: [&str; 2] = ["$management", "$_management_internal"];

impl Context {
    /// Returns whether the listener lets a message go to this address as far as management is
    /// concerned.
    ///
    /// This router's own node judges a request by its operation. Another router takes the request
    /// for this router's and answers everything. So without full access no request goes on to a
    /// node of another router.
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

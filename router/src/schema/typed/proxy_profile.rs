//! `proxyProfile`: a proxy that connectors go through. It has no effect yet.

use crate::schema::Effect;
use crate::schema::attribute::text;
use crate::schema::entity_type::{CHANGED, EntityType, configuration};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    effect: Effect::Accepted,
    own_operations: CHANGED,
    own_attributes: &[
        text("host", "The proxy's host.").example("proxy.example.com").create().update(),
        text("port", "The proxy's port.").example("3128").create().update(),
        text("username", "Who to be at the proxy.").example("skrouterd").create().update(),
        text(
            "password",
            "The password at the proxy, in one of the forms that sslProfile's password has.",
        )
        .example("file:/etc/skrouterd/proxy-password")
        .create()
        .update()
        .hidden()
        .guards(),
    ],
    ..configuration("An HTTP proxy that a connector goes through, by CONNECT.")
};

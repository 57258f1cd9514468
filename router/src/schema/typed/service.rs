//! Attributes that tcpListeners and tcpConnectors have in common.

use crate::schema::attribute::{Attribute, counter, text};

pub(super) const SITE_ID: Attribute = text("siteId", "The site this belongs to, for flow records.")
    .example("site-1")
    .create()
    .works();

pub(super) const OPENED: Attribute =
    counter("connectionsOpened", "How many service connections began.");

pub(super) const CLOSED: Attribute =
    counter("connectionsClosed", "How many service connections ended.");

pub(super) const BYTES_IN: Attribute = counter("bytesIn", "How many octets came in.");

pub(super) const BYTES_OUT: Attribute = counter("bytesOut", "How many octets went out.");

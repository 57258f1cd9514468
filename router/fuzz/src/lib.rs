//! What the larger fuzz targets of the router do with their octets, and what must hold.

pub mod memory;
pub mod net_connection;

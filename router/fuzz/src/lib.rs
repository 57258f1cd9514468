//! The larger fuzz targets of the router, with the invariants that they check.

pub mod memory;
pub mod net_connection;

//! Serial numbers (RFC 1982), in which AMQP counts deliveries and transfers (part 2.8.10).

/// Returns how far `to` is ahead of `from`; 0 when it is behind.
pub(super) const fn ahead(to: u32, from: u32) -> u32 {
    let distance = to.wrapping_sub(from);
    if distance > i32::MAX as u32 { 0 } else { distance }
}

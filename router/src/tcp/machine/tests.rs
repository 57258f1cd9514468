//! Service connections in virtual time, with sockets in memory and without a runtime.

mod carrying;
mod failing;
mod leaving;
mod pipe;
mod schedules;
mod world;

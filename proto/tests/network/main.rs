//! Networks of routers in virtual time: they converge, agree with the plainest computation of their
//! paths, and say little.

mod c_like;
mod hostile;
mod liar;
mod reference;
mod scenarios;
mod sim;

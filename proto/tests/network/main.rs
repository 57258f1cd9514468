//! Networks of routers in virtual time: they converge, agree with the plainest computation of what
//! they should, and say little.

mod c_like;
mod hostile;
mod liar;
mod reference;
mod scenarios;
mod sim;

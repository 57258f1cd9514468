//! Renders responses as tables: the columns, their order, and the cells.
//!
//! `router` has the views of the router as a whole. `traffic` has those of connections, links and
//! addresses, and `policy` those of policy and vhosts.

mod policy;
mod router;
mod traffic;

use jiff::tz::TimeZone;
use skupper_proto::amqp::Value;

use super::answers::Answers;
use super::cell;
use super::table::Block;
use super::view::View;

pub(super) fn render(view: View, answers: &Answers, verbose: bool, zone: &TimeZone) -> Vec<Block> {
    match view {
        View::General => router::general(answers),
        View::Nodes => router::nodes(answers, verbose),
        View::Memory => router::memory(answers),
        View::Log => router::log(answers, zone),
        View::Connections => traffic::connections(answers),
        View::Edges => traffic::edges(answers),
        View::Links => traffic::links(answers, verbose),
        View::Addresses => traffic::addresses(answers, verbose),
        View::AutoLinks => traffic::auto_links(answers),
        View::Policy => policy::policy(answers),
        View::Vhosts => policy::vhosts(answers),
        View::VhostGroups => policy::groups(answers),
        View::VhostStats => policy::stats(answers),
        View::AllEntities => Vec::new(),
    }
}

fn line(text: &str) -> Vec<Block> {
    vec![Block::Line(text.to_owned())]
}

/// Returns a number as text, so that its column does not format it.
fn number(value: &Value) -> Value {
    Value::String(cell::plain(value))
}

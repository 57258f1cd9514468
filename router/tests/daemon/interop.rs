//! The common scenarios with an independent router at one end of the link, or in the middle.

use Kind::{Ours, Peer};

use crate::service::{self, opened_by_north};
use crate::support::{Kind, Lab, PairOptions};

const OPENED_BY_SOUTH: PairOptions = PairOptions {
    data: 0,
    connector: crate::support::network::Side::South,
    edge: false,
    plain: false,
    relay: None,
};

mixed_pairs!(hello, |lab: &Lab, kinds| service::hello(lab, kinds, OPENED_BY_SOUTH));
mixed_pairs!(hello_with_one_data_connection, |lab: &Lab, kinds| service::hello(
    lab,
    kinds,
    PairOptions { data: 1, ..OPENED_BY_SOUTH }
));
mixed_pairs!(hello_with_two_data_connections, |lab: &Lab, kinds| service::hello(
    lab,
    kinds,
    PairOptions { data: 2, ..OPENED_BY_SOUTH }
));
mixed_pairs!(hello_opened_by_north, |lab: &Lab, kinds| service::hello(
    lab,
    kinds,
    opened_by_north()
));
mixed_pairs!(hello_opened_by_north_with_data, |lab: &Lab, kinds| service::hello(
    lab,
    kinds,
    PairOptions { data: 2, ..opened_by_north() }
));
mixed_pairs!(echo, |lab: &Lab, kinds| service::echo(lab, kinds, OPENED_BY_SOUTH));
mixed_pairs!(echo_opened_by_north_with_data, |lab: &Lab, kinds| service::echo(
    lab,
    kinds,
    PairOptions { data: 1, ..opened_by_north() }
));
mixed_pairs!(upload, |lab: &Lab, kinds| service::upload(lab, kinds, OPENED_BY_SOUTH));
mixed_pairs!(upload_with_data, |lab: &Lab, kinds| service::upload(
    lab,
    kinds,
    PairOptions { data: 2, ..OPENED_BY_SOUTH }
));
mixed_pairs!(server_ends_first, |lab: &Lab, kinds| service::server_ends_first(
    lab,
    kinds,
    OPENED_BY_SOUTH
));
mixed_pairs!(refused_by_the_server, |lab: &Lab, kinds| service::refused(
    lab,
    kinds,
    OPENED_BY_SOUTH
));
mixed_pairs!(reset_by_the_server, |lab: &Lab, kinds| service::server_reset(
    lab,
    kinds,
    OPENED_BY_SOUTH
));
mixed_pairs!(reset_by_the_server_while_sending, |lab: &Lab, kinds| service::server_reset_sending(
    lab,
    kinds,
    OPENED_BY_SOUTH
));
mixed_pairs!(reset_by_the_client, |lab: &Lab, kinds| service::client_reset(
    lab,
    kinds,
    OPENED_BY_SOUTH
));
mixed_pairs!(client_gone_before_the_answer, |lab: &Lab, kinds| service::client_gone(
    lab,
    kinds,
    OPENED_BY_SOUTH
));
mixed_pairs!(clients_gone_at_once, |lab: &Lab, kinds| service::clients_gone_at_once(
    lab,
    kinds,
    OPENED_BY_SOUTH
));

placed!(
    line_with_the_peer_first,
    |lab: &Lab, kinds| service::hello_in_line(lab, kinds, 0),
    [Peer, Ours, Ours]
);
placed!(
    line_with_the_peer_in_the_middle,
    |lab: &Lab, kinds| service::hello_in_line(lab, kinds, 0),
    [Ours, Peer, Ours]
);
placed!(
    line_with_the_peer_last,
    |lab: &Lab, kinds| service::hello_in_line(lab, kinds, 0),
    [Ours, Ours, Peer]
);
placed!(
    line_with_data_and_the_peer_first,
    |lab: &Lab, kinds| service::hello_in_line(lab, kinds, 2),
    [Peer, Ours, Ours]
);
placed!(
    line_with_data_and_the_peer_in_the_middle,
    |lab: &Lab, kinds| service::hello_in_line(lab, kinds, 2),
    [Ours, Peer, Ours]
);
placed!(
    line_with_data_and_the_peer_last,
    |lab: &Lab, kinds| service::hello_in_line(lab, kinds, 2),
    [Ours, Ours, Peer]
);

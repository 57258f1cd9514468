//! The common scenarios with an independent router at one end of the link, or in the middle.

use Kind::{Ours, Peer};

use crate::service::{self, opened_by_north};
use crate::support::{Kind, PairOptions};

const OPENED_BY_SOUTH: PairOptions = PairOptions {
    data: 0,
    connector: crate::support::network::Side::South,
    edge: false,
    plain: false,
    relay: None,
};

mixed_pairs!(hello, service::hello, OPENED_BY_SOUTH);
mixed_pairs!(
    hello_with_one_data_connection,
    service::hello,
    PairOptions { data: 1, ..OPENED_BY_SOUTH }
);
mixed_pairs!(
    hello_with_two_data_connections,
    service::hello,
    PairOptions { data: 2, ..OPENED_BY_SOUTH }
);
mixed_pairs!(hello_opened_by_north, service::hello, opened_by_north());
mixed_pairs!(
    hello_opened_by_north_with_data,
    service::hello,
    PairOptions { data: 2, ..opened_by_north() }
);
mixed_pairs!(echo, service::echo, OPENED_BY_SOUTH);
mixed_pairs!(
    echo_opened_by_north_with_data,
    service::echo,
    PairOptions { data: 1, ..opened_by_north() }
);
mixed_pairs!(upload, service::upload, OPENED_BY_SOUTH);
mixed_pairs!(upload_with_data, service::upload, PairOptions { data: 2, ..OPENED_BY_SOUTH });
mixed_pairs!(server_ends_first, service::server_ends_first, OPENED_BY_SOUTH);
mixed_pairs!(refused_by_the_server, service::refused, OPENED_BY_SOUTH);
mixed_pairs!(reset_by_the_server, service::server_reset, OPENED_BY_SOUTH);
mixed_pairs!(reset_by_the_server_while_sending, service::server_reset_sending, OPENED_BY_SOUTH);
mixed_pairs!(reset_by_the_client, service::client_reset, OPENED_BY_SOUTH);
mixed_pairs!(client_gone_before_the_answer, service::client_gone, OPENED_BY_SOUTH);
mixed_pairs!(clients_gone_at_once, service::clients_gone_at_once, OPENED_BY_SOUTH);

placed!(line_with_the_peer_first, service::hello_in_line, [Peer, Ours, Ours], 0);
placed!(line_with_the_peer_in_the_middle, service::hello_in_line, [Ours, Peer, Ours], 0);
placed!(line_with_the_peer_last, service::hello_in_line, [Ours, Ours, Peer], 0);
placed!(line_with_data_and_the_peer_first, service::hello_in_line, [Peer, Ours, Ours], 2);
placed!(line_with_data_and_the_peer_in_the_middle, service::hello_in_line, [Ours, Peer, Ours], 2);
placed!(line_with_data_and_the_peer_last, service::hello_in_line, [Ours, Ours, Peer], 2);

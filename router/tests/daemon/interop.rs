//! The common scenarios with an independent router at one end of the link, or in the middle.

use Kind::{Ours, Peer};

use crate::service;
use crate::support::{Kind, PairOptions};

mixed_pairs!(hello, service::hello, PairOptions::default());
mixed_pairs!(hello_with_one_data_connection, service::hello, PairOptions::with_data(1));
mixed_pairs!(hello_with_two_data_connections, service::hello, PairOptions::with_data(2));
mixed_pairs!(hello_opened_by_north, service::hello, PairOptions::opened_by_north());
mixed_pairs!(
    hello_opened_by_north_with_data,
    service::hello,
    PairOptions { data: 2, ..PairOptions::opened_by_north() }
);
mixed_pairs!(echo, service::echo, PairOptions::default());
mixed_pairs!(
    echo_opened_by_north_with_data,
    service::echo,
    PairOptions { data: 1, ..PairOptions::opened_by_north() }
);
mixed_pairs!(upload, service::upload, PairOptions::default());
mixed_pairs!(upload_with_data, service::upload, PairOptions::with_data(2));
mixed_pairs!(server_ends_first, service::server_ends_first, PairOptions::default());
mixed_pairs!(refused_by_the_server, service::refused, PairOptions::default());
mixed_pairs!(reset_by_the_server, service::server_reset, PairOptions::default());
mixed_pairs!(
    reset_by_the_server_while_sending,
    service::server_reset_sending,
    PairOptions::default()
);
mixed_pairs!(reset_by_the_client, service::client_reset, PairOptions::default());
mixed_pairs!(client_gone_before_the_answer, service::client_gone, PairOptions::default());
mixed_pairs!(clients_gone_at_once, service::clients_gone_at_once, PairOptions::default());

placed!(line_with_the_peer_first, service::hello_in_line, [Peer, Ours, Ours], 0);
placed!(line_with_the_peer_in_the_middle, service::hello_in_line, [Ours, Peer, Ours], 0);
placed!(line_with_the_peer_last, service::hello_in_line, [Ours, Ours, Peer], 0);
placed!(line_with_data_and_the_peer_first, service::hello_in_line, [Peer, Ours, Ours], 2);
placed!(line_with_data_and_the_peer_in_the_middle, service::hello_in_line, [Ours, Peer, Ours], 2);
placed!(line_with_data_and_the_peer_last, service::hello_in_line, [Ours, Ours, Peer], 2);

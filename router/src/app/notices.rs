//! The log's words for notices of the routing protocol.

use skupper_proto::topology::{LinkProblem, Notice as N};

use crate::log;

/// Writes a notice of the routing protocol to the log.
pub(super) fn write(notice: &N) {
    match notice {
        N::NeighborUp { id, cost, .. } => {
            log!(RouterHello, Info, "HELLO neighbor {id} is up, cost {cost}")
        }
        N::NeighborMoved { id, .. } => {
            log!(RouterHello, Info, "neighbor {id} is reached by another connection now")
        }
        N::NeighborLost { id } => log!(RouterHello, Info, "HELLO neighbor {id} is lost"),
        N::Restarted { id } => log!(RouterLs, Info, "router {id} started anew"),
        N::Problem { problem: LinkProblem::DuplicateId, .. } => {
            log!(
                RouterHello,
                Critical,
                "Detected a duplicate of this router's own id at a neighbor, which is ignored"
            );
        }
        N::Problem { problem: LinkProblem::Loop, .. } => {
            log!(RouterHello, Error, "a link leads back to this router itself, and is ignored");
        }
        // The notice `NewerVersion` below tells it once for the router.
        N::Problem { problem: LinkProblem::NewerVersion(_), .. } => {}
        N::Problem { problem: LinkProblem::TooManyRouters, .. } => {
            log!(RouterHello, Error, "a neighbor is ignored: too many routers are known");
        }
        N::Problem { problem: LinkProblem::SecondRouter(id), .. } => {
            log!(
                RouterHello,
                Error,
                "router {id} is heard on the link of another router, and is ignored there"
            );
        }
        N::Problem { problem: LinkProblem::SecondLife(id), .. } => {
            log!(
                RouterHello,
                Error,
                "a neighbor uses the id of the neighbor {id}, which is connected, and is ignored"
            );
        }
        N::NewerVersion { id, version } => {
            log!(
                RouterLs,
                Warning,
                "router {id} speaks version {version} of the routing protocol, which is newer; \
                 it is ignored"
            );
        }
        N::TooManyRouters { id } => {
            log!(RouterLs, Error, "router {id} is ignored: too many routers are known")
        }
        N::TooManyAddresses { id } => log!(
            RouterMa,
            Error,
            "router {id} serves more addresses than routers keep: clients' addresses at that \
             router are the first to be left out"
        ),
    }
}

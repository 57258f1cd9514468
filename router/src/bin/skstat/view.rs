//! The views, and the questions of each.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    General,
    Connections,
    Links,
    Nodes,
    Edges,
    Addresses,
    Memory,
    Policy,
    AutoLinks,
    Vhosts,
    VhostGroups,
    VhostStats,
    Log,
    AllEntities,
}

/// A question to a management node.
#[derive(Debug)]
pub(super) enum Question {
    /// A query of entities.
    Query {
        /// Name of the response in JSON.
        key: &'static str,
        entity_type: &'static str,
        /// The attributes to ask for; empty for all.
        attributes: &'static [&'static str],
        /// True if `--limit` applies.
        limited: bool,
        /// True if the view works without a response.
        optional: bool,
    },
    /// The last lines of the log.
    Log,
    /// The schema, which holds the defaults of a vhost's groups.
    Schema,
}

impl Question {
    const fn query(key: &'static str, entity_type: &'static str) -> Self {
        Self::Query { key, entity_type, attributes: &[], limited: false, optional: false }
    }

    const fn only(self, names: &'static [&'static str]) -> Self {
        match self {
            Self::Query { key, entity_type, limited, optional, .. } => {
                Self::Query { key, entity_type, attributes: names, limited, optional }
            }
            other => other,
        }
    }

    const fn limited(self) -> Self {
        match self {
            Self::Query { key, entity_type, attributes, optional, .. } => {
                Self::Query { key, entity_type, attributes, limited: true, optional }
            }
            other => other,
        }
    }

    const fn optional(self) -> Self {
        match self {
            Self::Query { key, entity_type, attributes, limited, .. } => {
                Self::Query { key, entity_type, attributes, limited, optional: true }
            }
            other => other,
        }
    }

    /// Returns the name of the response in JSON.
    pub(super) const fn key(&self) -> &'static str {
        match self {
            Self::Query { key, .. } => key,
            Self::Log => "log",
            Self::Schema => "schema",
        }
    }
}

pub(super) const ROUTER: &str = "router";
pub(super) const METRICS: &str = "routerMetrics";
pub(super) const NETWORK: &str = "network";
pub(super) const CONNECTIONS: &str = "connections";
pub(super) const LINKS: &str = "links";
pub(super) const NODES: &str = "nodes";
pub(super) const ADDRESSES: &str = "addresses";
pub(super) const AUTO_LINKS: &str = "autoLinks";
pub(super) const ALLOCATORS: &str = "memory";
pub(super) const POLICY: &str = "policy";
pub(super) const VHOSTS: &str = "vhosts";
pub(super) const VHOST_STATS: &str = "vhostStats";

impl View {
    /// Returns true if the date and the router's id stand before it.
    pub(super) const fn has_head(self) -> bool {
        !matches!(self, Self::Vhosts | Self::VhostGroups | Self::VhostStats | Self::Log)
    }

    /// Returns the views that it consists of.
    pub(super) const fn parts(&self) -> &[Self] {
        match self {
            Self::AllEntities => &[
                Self::Links,
                Self::Addresses,
                Self::Connections,
                Self::AutoLinks,
                Self::General,
                Self::Memory,
                Self::Policy,
                Self::Vhosts,
                Self::VhostStats,
            ],
            one => std::slice::from_ref(one),
        }
    }

    pub(super) const fn questions(self) -> &'static [Question] {
        match self {
            Self::General => {
                const {
                    &[
                        Question::query(ROUTER, "io.skupper.router.router"),
                        Question::query(METRICS, "io.skupper.router.routerMetrics"),
                        Question::query(NETWORK, "io.skupper.router.network").optional(),
                    ]
                }
            }
            Self::Connections | Self::Edges => {
                const { &[Question::query(CONNECTIONS, "io.skupper.router.connection").limited()] }
            }
            Self::Links => {
                const {
                    &[Question::query(LINKS, "io.skupper.router.router.link")
                        .only(&[
                            "linkType",
                            "linkDir",
                            "connectionId",
                            "identity",
                            "owningAddr",
                            "capacity",
                            "undeliveredCount",
                            "unsettledCount",
                            "deliveryCount",
                            "presettledCount",
                            "droppedPresettledCount",
                            "acceptedCount",
                            "rejectedCount",
                            "releasedCount",
                            "modifiedCount",
                            "deliveriesDelayed1Sec",
                            "deliveriesDelayed10Sec",
                            "deliveriesStuck",
                            "creditAvailable",
                            "zeroCreditSeconds",
                            "operStatus",
                            "linkName",
                            "priority",
                            "settleRate",
                        ])
                        .limited()]
                }
            }
            Self::Nodes => {
                const { &[Question::query(NODES, "io.skupper.router.router.node").limited()] }
            }
            Self::Addresses => {
                const {
                    &[Question::query(ADDRESSES, "io.skupper.router.router.address")
                        .only(&[
                            "distribution",
                            "inProcess",
                            "subscriberCount",
                            "remoteCount",
                            "deliveriesIngress",
                            "deliveriesEgress",
                            "deliveriesTransit",
                            "deliveriesToContainer",
                            "deliveriesFromContainer",
                            "name",
                            "priority",
                            "watch",
                        ])
                        .limited()]
                }
            }
            Self::AutoLinks => {
                const {
                    &[Question::query(AUTO_LINKS, "io.skupper.router.router.config.autoLink")
                        .only(&[
                            "address",
                            "direction",
                            "externalAddress",
                            "linkRef",
                            "operStatus",
                            "lastError",
                        ])
                        .limited()]
                }
            }
            Self::Memory => {
                const {
                    &[
                        Question::query(ALLOCATORS, "io.skupper.router.allocator").only(&[
                            "identity",
                            "typeSize",
                            "transferBatchSize",
                            "localFreeListMax",
                            "totalAllocFromHeap",
                            "totalFreeToHeap",
                            "heldByThreads",
                            "batchesRebalancedToThreads",
                            "batchesRebalancedToGlobal",
                        ]),
                        Question::query(METRICS, "io.skupper.router.routerMetrics"),
                    ]
                }
            }
            Self::Policy => const { &[Question::query(POLICY, "io.skupper.router.policy")] },
            Self::Vhosts => const { &[Question::query(VHOSTS, "io.skupper.router.vhost")] },
            Self::VhostGroups => {
                const { &[Question::query(VHOSTS, "io.skupper.router.vhost"), Question::Schema] }
            }
            Self::VhostStats => {
                const { &[Question::query(VHOST_STATS, "io.skupper.router.vhostStats")] }
            }
            Self::Log => &[Question::Log],
            Self::AllEntities => &[],
        }
    }
}

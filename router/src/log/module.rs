//! The parts of the router that log, and how often each did.
#![expect(clippy::indexing_slicing, reason = "each module and level has its place")]

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::level::Level;

macro_rules! modules {
    ($($variant:ident $name:literal,)+) => {
        /// A part of the router that logs. The names are those of the management schema's `log`
        /// entity.
        #[expect(missing_docs, reason = "the names say it")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Module {
            $($variant,)+
        }

        impl Module {
            /// All modules, in the schema's order.
            pub const ALL: [Self; [$($name,)+].len()] = [$(Self::$variant,)+];

            /// Returns the name in log lines and in the configuration: upper case with
            /// underscores.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

modules! {
    Router "ROUTER",
    RouterCore "ROUTER_CORE",
    RouterHello "ROUTER_HELLO",
    RouterLs "ROUTER_LS",
    RouterMa "ROUTER_MA",
    Message "MESSAGE",
    Server "SERVER",
    Agent "AGENT",
    Container "CONTAINER",
    Error "ERROR",
    Policy "POLICY",
    Http "HTTP",
    ConnMgr "CONN_MGR",
    Python "PYTHON",
    Protocol "PROTOCOL",
    TcpAdaptor "TCP_ADAPTOR",
    HttpAdaptor "HTTP_ADAPTOR",
    FlowLog "FLOW_LOG",
    AddressWatch "ADDRESS_WATCH",
    Http1Observer "HTTP1_OBSERVER",
    Http2Observer "HTTP2_OBSERVER",
    Http2Decoder "HTTP2_DECODER",
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The subject of a `log` entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every module that has no setting of its own: the pseudo-module `DEFAULT`.
    Default,
    /// One module.
    Module(Module),
}

impl Scope {
    /// Returns the scope of this name: a module's upper-case name, or `DEFAULT`.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "DEFAULT" {
            return Some(Self::Default);
        }
        Module::ALL.into_iter().find(|module| module.name() == name).map(Self::Module)
    }

    /// Returns the scope's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::Module(module) => module.name(),
        }
    }
}

/// How many events a module had at each level, whether or not they were written: the `logStats`
/// entity.
#[expect(missing_docs, reason = "the names say it")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub debug: u64,
    pub info: u64,
    pub warning: u64,
    pub error: u64,
    pub critical: u64,
}

/// Stripes of the counters. The data path counts an event a message, written or not. Each thread
/// counts in a stripe of its own, so that shards share no cache line.
const STRIPES: usize = 8;

#[repr(align(128))]
struct Stripe([[AtomicU64; Level::ALL.len()]; Module::ALL.len()]);

static COUNTS: [Stripe; STRIPES] = [const {
    Stripe([const { [const { AtomicU64::new(0) }; Level::ALL.len()] }; Module::ALL.len()])
}; STRIPES];
static NEXT_STRIPE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static STRIPE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Counts an event.
pub(super) fn count(module: Module, level: Level) {
    // A thread that ends may have lost its stripe. Any other will do.
    let index = STRIPE.try_with(|stripe| {
        stripe.get().unwrap_or_else(|| {
            let index = NEXT_STRIPE.fetch_add(1, Ordering::Relaxed) % STRIPES;
            stripe.set(Some(index));
            index
        })
    });
    COUNTS[index.unwrap_or(0)].0[module as usize][level as usize].fetch_add(1, Ordering::Relaxed);
}

/// Returns the events of a module since the process started.
pub(super) fn stats(module: Module) -> Stats {
    let sum = |level: Level| {
        let counts = COUNTS
            .iter()
            .map(|stripe| stripe.0[module as usize][level as usize].load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add)
    };
    Stats {
        debug: sum(Level::Debug),
        info: sum(Level::Info),
        warning: sum(Level::Warning),
        error: sum(Level::Error),
        critical: sum(Level::Critical),
    }
}

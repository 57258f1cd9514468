//! `logStats`: how often each module of the log spoke.

use crate::agent::Record;
use crate::app::figures::number;
use crate::log::{self, Module};
use crate::schema::EntityKind;

const KIND: EntityKind = EntityKind::LogStats;

/// Returns how often each module spoke.
pub(super) fn all() -> Vec<Record> {
    let record = |name: &'static str, stats: log::Stats| {
        Record::new(KIND)
            .with("debugCount", number(stats.debug))
            .with("infoCount", number(stats.info))
            .with("noticeCount", 0)
            .with("warningCount", number(stats.warning))
            .with("errorCount", number(stats.error))
            .with("criticalCount", number(stats.critical))
            .with("name", name)
            .with("identity", format!("logStats/{name}"))
            .with("type", KIND.long_name())
    };
    let modules = Module::ALL.into_iter().map(|module| record(module.name(), log::stats(module)));
    std::iter::once(record("DEFAULT", log::Stats::default())).chain(modules).collect()
}

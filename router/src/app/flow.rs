//! The running router in flow records.

use skupper_proto::vanflow::{RecordKind, attribute as of};

use super::facts::Facts;
use super::running::Running;
use crate::flow::{Describe, Described, LogEntry};
use crate::log::{self, Level, Module};
use crate::schema::Mode;
use crate::schema::typed::Site;

impl Running {
    /// Returns the identity of the site's record: the one that the environment gives, or one of
    /// ours if there is a site.
    fn site_identity(&self) -> Option<String> {
        let given = std::env::var("SKUPPER_SITE_ID").ok().filter(|id| !id.is_empty());
        given.or_else(|| self.site.as_ref().map(|_| format!("{}:1", self.node.flow_prefix)))
    }

    fn router_record(&self) -> Described {
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mode = match self.mode {
            Mode::Standalone => "standalone",
            Mode::Interior => "interior",
            Mode::Edge => "edge",
        };
        let facts = Facts::default()
            .maybe(of::PARENT, self.site_identity())
            .with(of::NAME, format!("0/{}", self.node.core.id()))
            .with(of::MODE, mode)
            .with(of::BUILD_VERSION, env!("CARGO_PKG_VERSION"))
            .with(of::HOST_NAME, rustix::system::uname().nodename().to_string_lossy().into_owned())
            .maybe(of::NAMESPACE, environment("POD_NAMESPACE"))
            .maybe(of::IMAGE_NAME, environment("APPLICATION_NAME"))
            .maybe(of::IMAGE_VERSION, environment("VERSION"));
        let identity = Some(format!("{}:0", self.node.flow_prefix));
        Described { identity, ..facts.describe("router".to_owned(), RecordKind::Router) }
    }

    fn site_record(&self, site: &Site) -> Described {
        let facts = Facts::default()
            .with(of::NAME, site.name.as_str())
            .maybe(of::BUILD_VERSION, site.version.as_deref())
            .maybe(of::LOCATION, site.location.as_deref())
            .maybe(of::PROVIDER, site.provider.as_deref())
            .maybe(of::PLATFORM, site.platform.as_deref())
            .maybe(of::NAMESPACE, site.namespace.as_deref());
        Described {
            identity: self.site_identity(),
            ..facts.describe("site".to_owned(), RecordKind::Site)
        }
    }
}

impl Describe for Running {
    fn describe(&self) -> Vec<Described> {
        let mut there: Vec<Described> =
            self.site.iter().map(|site| self.site_record(site)).collect();
        there.push(self.router_record());
        there.extend(self.all().iter().flat_map(|live| live.managed.flow_records(self)));
        there
    }

    fn departed(&self) -> Vec<Described> {
        self.take_departed()
    }

    fn log_lines(&self, last: u64) -> Vec<LogEntry> {
        let severity = |level| match level {
            Level::Warning => Some(2_u64),
            Level::Error => Some(3),
            Level::Critical => Some(4),
            Level::Debug | Level::Info => None,
        };
        let entry = |line: log::Line| {
            let time =
                u64::try_from(line.time.as_microsecond()).ok().filter(|time| *time > last)?;
            // A record of this module would cause another one.
            let severity = severity(line.level).filter(|_| line.module != Module::FlowLog)?;
            let facts = Facts::default()
                .with(of::LOG_SEVERITY, severity)
                .with(of::LOG_TEXT, format!("LOG_{}: {}", line.module, line.text))
                .with(of::SOURCE_FILE, line.file)
                .with(of::SOURCE_LINE, u64::from(line.line));
            Some(LogEntry { time, facts: facts.into_inner() })
        };
        log::last_lines(usize::MAX).into_iter().filter_map(entry).collect()
    }
}

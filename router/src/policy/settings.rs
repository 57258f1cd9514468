//! The rules for a group of users.

use serde_json::{Map, Value};
use skupper_proto::address::Canonical;

use super::addresses::Addresses;
use super::hosts::Hosts;

/// Most links of one direction on a connection, unless a rule sets it.
const ALL_LINKS: u64 = i32::MAX as u64;

/// Largest limit of connections that a group may set for a user or a host.
const MOST_CONNECTIONS: u64 = 65535;

/// The verdict on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The link may attach.
    Allowed,
    /// The connection has as many links as it may.
    TooMany,
    /// The user may not use the address.
    Forbidden,
}

/// The rules for a group of users (`vhostUserGroupSettings`). A 0 for frames, sessions or windows
/// means no limit.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub(super) users: Vec<String>,
    hosts: Hosts,
    pub(super) max_connections_per_user: Option<u64>,
    pub(super) max_connections_per_host: Option<u64>,
    pub(super) max_message_size: Option<u64>,
    /// Largest frame that a client may send, in bytes.
    pub max_frame_size: u64,
    /// Bytes that a client may send on a session before it must wait.
    pub max_session_window: u64,
    /// Most sessions that a client may open.
    pub max_sessions: u64,
    max_senders: u64,
    max_receivers: u64,
    allow_dynamic_source: bool,
    allow_anonymous_sender: bool,
    /// True if a client may send messages in another user's name.
    pub allow_user_id_proxy: bool,
    /// True if a client may close other clients' connections.
    pub allow_admin_status_update: bool,
    sources: Addresses,
    pub(super) targets: Addresses,
}

impl Settings {
    /// Reads a group's rules. Also returns the names of unknown rules, which are ignored.
    ///
    /// # Errors
    /// Text for the operator.
    pub(super) fn parse(rules: &Map<String, Value>) -> Result<(Self, Vec<String>), String> {
        let mut settings = Self {
            max_senders: ALL_LINKS,
            max_receivers: ALL_LINKS,
            allow_admin_status_update: true,
            ..Self::default()
        };
        let mut ignored = Vec::new();
        for (key, value) in rules {
            let of = |problem: String| format!("option '{key}': {problem}");
            let list = || list(value).map_err(of);
            let number = |most| number(value, most).map_err(of);
            let flag = || flag(value).map_err(of);
            match key.as_str() {
                "users" => settings.users = list()?,
                "remoteHosts" => {
                    settings.hosts = Hosts::parse(list()?.iter().map(String::as_str)).map_err(of)?
                }
                "maxConnectionsPerUser" => {
                    settings.max_connections_per_user = Some(number(MOST_CONNECTIONS)?)
                }
                "maxConnectionsPerHost" => {
                    settings.max_connections_per_host = Some(number(MOST_CONNECTIONS)?)
                }
                "maxMessageSize" => settings.max_message_size = Some(number(u64::MAX)?),
                "maxFrameSize" => settings.max_frame_size = number(u64::MAX)?,
                "maxSessionWindow" => settings.max_session_window = number(u64::MAX)?,
                "maxSessions" => settings.max_sessions = number(u64::MAX)?,
                // As with the C router, 0 means no limit.
                "maxSenders" => {
                    settings.max_senders =
                        Some(number(u64::MAX)?).filter(|most| *most > 0).unwrap_or(u64::MAX)
                }
                "maxReceivers" => {
                    settings.max_receivers =
                        Some(number(u64::MAX)?).filter(|most| *most > 0).unwrap_or(u64::MAX)
                }
                "allowDynamicSource" => settings.allow_dynamic_source = flag()?,
                "allowAnonymousSender" => settings.allow_anonymous_sender = flag()?,
                "allowUserIdProxy" => settings.allow_user_id_proxy = flag()?,
                "allowAdminStatusUpdate" => settings.allow_admin_status_update = flag()?,
                "sources" => settings.sources = Addresses::names(&list()?).map_err(of)?,
                "targets" => settings.targets = Addresses::names(&list()?).map_err(of)?,
                "sourcePattern" => settings.sources = Addresses::patterns(&list()?).map_err(of)?,
                "targetPattern" => settings.targets = Addresses::patterns(&list()?).map_err(of)?,
                _ => ignored.push(key.clone()),
            }
        }
        for (names, patterns) in [("sources", "sourcePattern"), ("targets", "targetPattern")] {
            if rules.contains_key(names) && rules.contains_key(patterns) {
                return Err(format!(
                    "specifies conflicting '{names}' and '{patterns}' attributes. Use only one or \
                     the other."
                ));
            }
        }
        Ok((settings, ignored))
    }

    pub(super) const fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    pub(super) fn sender(
        &self,
        senders: usize,
        address: Option<Canonical<'_>>,
        user: &str,
    ) -> Verdict {
        let allowed = address
            .map_or(self.allow_anonymous_sender, |address| self.targets.allow(address, user));
        verdict(senders, self.max_senders, allowed)
    }

    pub(super) fn receiver(
        &self,
        receivers: usize,
        address: Option<Canonical<'_>>,
        user: &str,
    ) -> Verdict {
        let allowed =
            address.map_or(self.allow_dynamic_source, |address| self.sources.allow(address, user));
        verdict(receivers, self.max_receivers, allowed)
    }
}

const fn verdict(links: usize, most: u64, allowed: bool) -> Verdict {
    match allowed {
        _ if links as u64 >= most => Verdict::TooMany,
        true => Verdict::Allowed,
        false => Verdict::Forbidden,
    }
}

/// Reads a list, either of JSON or of text with commas.
pub(super) fn list(value: &Value) -> Result<Vec<String>, String> {
    let items: Option<Vec<String>> = match value {
        Value::String(text) => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().map(|item| item.trim().to_owned())).collect()
        }
        _ => None,
    };
    items.ok_or_else(|| "is no list, nor text with commas".to_owned())
}

pub(super) fn number(value: &Value, most: u64) -> Result<u64, String> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| *number <= most).ok_or_else(|| match most {
        u64::MAX => format!("{value} is no number from 0 on"),
        most => format!("{value} is no number from 0 to {most}"),
    })
}

pub(super) fn flag(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        other => Err(format!("has illegal boolean value {other}")),
    }
}

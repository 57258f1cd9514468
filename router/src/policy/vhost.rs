//! The rules for clients that ask for one host.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::settings::{Settings, list};
use super::{DEFAULT_GROUP, PolicyError};

/// The settings of a vhost that hold for all its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Rules {
    /// Other names, separated by commas.
    pub aliases: String,
    pub max_connections: u64,
    pub max_connections_per_user: u64,
    pub max_connections_per_host: u64,
    /// Largest message in bytes; `None` for the router's limit.
    pub max_message_size: Option<u64>,
    /// True if users of no group get the rules of `$default`.
    pub allow_unknown_user: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            aliases: String::new(),
            max_connections: 65535,
            max_connections_per_user: 65535,
            max_connections_per_host: 65535,
            max_message_size: None,
            allow_unknown_user: false,
        }
    }
}

/// A vhost with rules that were read and fit together.
#[derive(Clone, Debug)]
pub struct Vhost {
    /// Its name, then its aliases.
    names: Vec<String>,
    rules: Rules,
    groups: BTreeMap<String, Settings>,
    /// The group of each user that a group names.
    users: HashMap<String, String>,
    warnings: Vec<String>,
}

impl Vhost {
    /// Reads a vhost. `groups` maps a group's name to its rules.
    ///
    /// # Errors
    /// [`PolicyError::Invalid`], with the problem in words.
    pub fn new(name: &str, rules: Rules, groups: &Map<String, Value>) -> Result<Self, PolicyError> {
        let invalid = |problem: String| PolicyError::Invalid { vhost: name.to_owned(), problem };
        let mut vhost = Self {
            names: vec![name.to_owned()],
            groups: BTreeMap::new(),
            users: HashMap::new(),
            warnings: Vec::new(),
            rules,
        };
        for alias in list(&Value::String(vhost.rules.aliases.clone()))
            .map_err(invalid)?
            .into_iter()
            .filter(|it| !it.is_empty())
        {
            if vhost.names.contains(&alias) {
                return Err(invalid(format!(
                    "Policy vhost '{name}' option 'aliases' value '{alias}' is duplicated"
                )));
            }
            vhost.names.push(alias);
        }
        for (group, rules) in groups {
            let of = |problem: String| {
                invalid(format!("Policy vhost '{name}' user group '{group}' {problem}"))
            };
            let rules = rules.as_object().ok_or_else(|| of("is no map".to_owned()))?;
            let (settings, ignored) = Settings::parse(rules).map_err(of)?;
            let ignores = |option| {
                format!("Policy vhost '{name}' user group '{group}' option '{option}' is ignored.")
            };
            vhost.warnings.extend(ignored.into_iter().map(ignores));
            for user in settings.users.iter().filter(|user| !user.is_empty()) {
                if let Some(other) =
                    vhost.users.insert(user.clone(), group.clone()).filter(|other| other != group)
                {
                    let problem = format!(
                        "Policy vhost '{name}' user '{user}' is in multiple user groups '{other}' \
                         and '{group}'"
                    );
                    return Err(invalid(problem));
                }
            }
            vhost.groups.insert(group.clone(), settings);
        }
        if vhost.rules.allow_unknown_user && !vhost.groups.contains_key(DEFAULT_GROUP) {
            let problem = "allows connections by default but default settings are not defined";
            return Err(invalid(format!("Policy vhost '{name}' {problem}")));
        }
        Ok(vhost)
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// Returns a line for each rule that was ignored.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns its name and its aliases.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(super) const fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn group(&self, name: &str) -> Option<&Settings> {
        self.groups.get(name)
    }

    /// Returns the rules for a user: those of the group that names it, or of the group for all
    /// users. Otherwise those of `$default`, if the vhost admits unknown users.
    pub(super) fn group_of(&self, user: &str) -> Option<&Settings> {
        let unknown = || self.rules.allow_unknown_user.then_some(DEFAULT_GROUP);
        let group = self
            .users
            .get(user)
            .or_else(|| self.users.get("*"))
            .map(String::as_str)
            .or_else(unknown)?;
        self.groups.get(group)
    }
}

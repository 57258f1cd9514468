//! Configuration files: from text to checked entities, in the order of their start.
//!
//! [`Document`] is a text and its form; `json` and `conf` read its sections. [`Config::read`]
//! checks them against the schema and against each other. It stops at the first mistake and tells
//! it in one line. It does not open the files that entities name, except the vhosts of a policyDir.
//! [`launch`] finds the documents that a container's environment names.

mod check;
mod conf;
mod document;
mod error;
mod json;
pub mod launch;
mod reach;
#[cfg(test)]
mod tests;
mod warnings;

use std::path::Path;

pub use check::role_fits;
pub use document::{Document, Format};
pub use error::ConfigError;
pub use reach::{OutOfReach, Reach};

use crate::schema::typed::{RouterEntity, Settings, Typed};
use crate::schema::{AttributeError, Entity, EntityKind, Mode, Problem, Value, nearest};

/// A section of a configuration, of which only the form is checked.
#[derive(Clone, Debug, PartialEq)]
struct Section {
    /// The name of its document.
    file: String,
    /// The line it begins on, if the reader knows it.
    line: Option<usize>,
    /// The entity's type, as written.
    kind: String,
    /// Attributes in the order of the text; one may occur twice.
    attributes: Vec<(String, serde_json::Value)>,
}

/// An entity of a configuration.
#[derive(Clone, Debug)]
pub struct Configured {
    /// Its attributes, as management tells them.
    pub entity: Entity,
    /// The attributes for code that acts on them.
    pub settings: Settings,
}

/// A configuration that holds together.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it comes from, for messages: the name of the document, or the names of all.
    pub file: String,
    /// All entities, in the order of their start; within a type in the order of the text.
    pub entities: Vec<Configured>,
    /// The router. Its id is made up if none was given.
    pub router: RouterEntity,
    /// Warnings for the operator, one line each.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the file at `path`. Its name tells the form.
    ///
    /// # Errors
    /// The first mistake.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::read(&[Document::open(path)?], fastrand::u64(..))
    }

    /// Reads documents as if they were one. `seed` makes the id of a router that was given none;
    /// nothing else is random.
    ///
    /// # Errors
    /// The first mistake.
    pub fn read(documents: &[Document], seed: u64) -> Result<Self, ConfigError> {
        let file =
            documents.iter().map(|document| document.name.as_str()).collect::<Vec<_>>().join(", ");
        let mut sections = Vec::new();
        for document in documents {
            sections.extend(document.sections()?);
        }
        let mut located = Vec::new();
        let mut renamed = Vec::new();
        for section in &sections {
            located.push(Located::new(section, &located, &mut renamed)?);
        }
        let folders: Vec<_> = located
            .iter()
            .filter(|it: &&Located| it.entity.kind() == EntityKind::Policy)
            .map(policy_folder)
            .collect();
        for sections in folders {
            for section in sections? {
                located.push(Located::new(&section, &located, &mut renamed)?);
            }
        }
        for kind in EntityKind::all().filter(|kind| kind.is_singleton() && kind.is_configuration())
        {
            if !located.iter().any(|other: &Located| other.entity.kind() == kind) {
                let entity = Entity::new(kind, [])
                    .map_err(|error| ConfigError::attribute(&file, kind.section(), error))?;
                located.push(Located {
                    file: file.clone(),
                    label: kind.section().to_owned(),
                    entity,
                });
            }
        }
        located.sort_by_key(|located| located.entity.kind().start_rank());
        name_all(&mut located, seed);
        check::entities(&located)?;

        let mut settings = Vec::with_capacity(located.len());
        for located in &located {
            settings.push(Settings::read(&located.entity).map_err(|error| located.error(error))?);
        }
        let router = settings.iter().find_map(RouterEntity::of).cloned();
        // The loop above makes one if none was given.
        let router =
            router.ok_or_else(|| ConfigError::syntax(&file, None, "there is no router"))?;
        check::together(&located, &router)?;
        let mut warnings = renamed;
        warnings.extend(warnings::of(&located));
        let entities = located.into_iter().zip(settings);
        let entities =
            entities.map(|(located, settings)| Configured { entity: located.entity, settings });
        Ok(Self { file, router, entities: entities.collect(), warnings })
    }

    /// Returns the settings of one type, in the order of the entities.
    pub fn all<T: Typed>(&self) -> Vec<&T> {
        self.entities.iter().filter_map(|configured| T::of(&configured.settings)).collect()
    }

    /// Returns an error about an attribute of an entity, for mistakes that are found later, such as
    /// an unreadable certificate. `kind` is the section's name.
    pub fn error(
        &self,
        kind: &str,
        name: &str,
        attribute: &str,
        problem: impl Into<String>,
    ) -> ConfigError {
        let label = format!("{kind} {}", crate::schema::quote(name));
        ConfigError::attribute(&self.file, &label, Problem::Invalid(problem.into()).of(attribute))
    }
}

/// Reads the vhosts of the folder that a policy names: of its files that end in `.json`, by name.
fn policy_folder(policy: &Located) -> Result<Vec<Section>, ConfigError> {
    let Some(folder) = policy.entity.text("policyDir") else { return Ok(Vec::new()) };
    let unreadable = |cause: std::io::Error| {
        policy.error(
            Problem::Invalid(format!("{} cannot be read: {cause}", crate::schema::quote(folder)))
                .of("policyDir"),
        )
    };
    let mut files = Vec::new();
    for file in std::fs::read_dir(folder).map_err(unreadable)? {
        files.push(file.map_err(unreadable)?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut vhosts = Vec::new();
    for file in files {
        let document = Document::open(&file)?;
        for section in document.sections()? {
            if EntityKind::named(&section.kind).is_none_or(|kind| kind != EntityKind::Vhost) {
                let shown = crate::schema::quote(&section.kind);
                return Err(ConfigError::syntax(
                    &section.file,
                    section.line,
                    format!("{shown} is no vhost; a policyDir has nothing else"),
                ));
            }
            vhosts.push(section);
        }
    }
    Ok(vhosts)
}

/// A checked entity and its place.
struct Located {
    file: String,
    /// The type, and the name or its substitute: `listener 'site'`.
    label: String,
    entity: Entity,
}

impl Located {
    fn new(
        section: &Section,
        before: &[Self],
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let kind = kind_of(section)?;
        let label = label(section, kind, before);
        let mut seen: Vec<&'static str> = Vec::new();
        let mut attributes = Vec::new();
        for (given, value) in &section.attributes {
            // A known name is taken as it stands, because camel case is a help and no duty.
            let name = match kind.attribute(given) {
                Some(attribute) => attribute.name.to_owned(),
                None => camel_case(given),
            };
            if let Some(attribute) = kind.attribute(&name) {
                if seen.contains(&attribute.name) {
                    warnings.push(format!(
                        "{}: {label}: attribute '{name}' is given twice; the last one counts",
                        section.file
                    ));
                }
                seen.push(attribute.name);
            }
            attributes.push((name, value));
        }
        Entity::new(kind, attributes.iter().map(|(name, value)| (name.as_str(), *value)))
            .map(|entity| Self { file: section.file.clone(), label: label.clone(), entity })
            .map_err(|error| ConfigError::attribute(&section.file, &label, error))
    }

    fn error(&self, error: AttributeError) -> ConfigError {
        ConfigError::attribute(&self.file, &self.label, error)
    }
}

fn kind_of(section: &Section) -> Result<EntityKind, ConfigError> {
    let configuration = |name: &str| EntityKind::named(name).filter(|kind| kind.is_configuration());
    let at = |problem: String| ConfigError::syntax(&section.file, section.line, problem);
    let shown = crate::schema::quote(&section.kind);
    configuration(&section.kind).or_else(|| configuration(&camel_case(&section.kind))).ok_or_else(
        || {
            if EntityKind::named(&section.kind).is_some() {
                return at(format!("entity {shown} cannot be configured: the router makes it"));
            }
            let known =
                EntityKind::all().filter(|kind| kind.is_configuration()).map(EntityKind::section);
            let hint = nearest(&section.kind, known)
                .map(|name| format!(" (did you mean '{name}'?)"))
                .unwrap_or_default();
            at(format!("unknown entity {shown}{hint}"))
        },
    )
}

/// Returns the words for a section that is not checked yet: its name, or its number among those of
/// its type.
fn label(section: &Section, kind: EntityKind, before: &[Located]) -> String {
    let by = match kind {
        EntityKind::Router => "id",
        EntityKind::Log => "module",
        EntityKind::Vhost => "hostname",
        _ => "name",
    };
    let named = section
        .attributes
        .iter()
        .find(|(name, _)| name == by)
        .and_then(|(_, value)| value.as_str());
    match named.filter(|name| !name.is_empty()) {
        Some(name) => format!("{} {}", kind.section(), crate::schema::quote(name)),
        None if kind.is_singleton() => kind.section().to_owned(),
        None => {
            let like = before.iter().filter(|other| other.entity.kind() == kind).count();
            format!("{} #{}", kind.section(), like + 1)
        }
    }
}

/// Removes blanks, `_`, `-` and `.`, and begins the next word with a capital: `ssl-profile` is
/// `sslProfile`.
fn camel_case(name: &str) -> String {
    let mut cased = String::with_capacity(name.len());
    let mut parts = name.split([' ', '_', '-', '.']);
    cased.extend(parts.next());
    for part in parts {
        let mut chars = part.chars();
        cased.extend(chars.next().into_iter().flat_map(char::to_uppercase));
        cased.push_str(chars.as_str());
    }
    cased
}

/// Gives every entity its identity and a name, and the router an id.
fn name_all(located: &mut [Located], seed: u64) {
    let mut counts = std::collections::BTreeMap::<EntityKind, usize>::new();
    for Located { entity, .. } in located {
        if entity.kind() == EntityKind::Router && entity.text("id").is_none() {
            let mode = entity.get::<Mode>("mode").unwrap_or(Mode::Standalone);
            entity.set("id", Value::String(made_up_id(mode, seed)));
        }
        let count = counts.entry(entity.kind()).or_default();
        entity.identify(*count);
        *count += 1;
    }
}

fn made_up_id(mode: Mode, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let prefix = match mode {
        Mode::Standalone => "Standalone_",
        Mode::Interior => "Interior_",
        Mode::Edge => "Edge_",
    };
    prefix.chars().chain(std::iter::repeat_with(|| random.alphanumeric()).take(15)).collect()
}

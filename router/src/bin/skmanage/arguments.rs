//! The command line of `skmanage`.

use std::ffi::OsString;

use serde_json::{Map, Value as Json};
use skupper_proto::amqp::Value;
use skupper_proto::management::{Request, property};

use super::attributes::{self, long_type};
use crate::bin::tools::connecting::{CONNECTION, Connecting, EDGE_ROUTER, ROUTER};
use crate::bin::tools::options::{self, Chapter, Command, Opt, Part};
use crate::bin::tools::run::Failure;

const COMMAND: Command = Command {
    name: super::NAME,
    synopsis: "skmanage OPERATION [OPTIONS] [ATTRIBUTE[=VALUE]...]",
    about: "\
Reads and changes a running router by management requests. Answers are JSON.

operations:
  query [ATTRIBUTE...]            the entities of a type, or all: these attributes, or all they have
  read                            one entity, by --name or --identity
  create [ATTRIBUTE=VALUE...]     a new entity; or with --stdin as many as a JSON list has maps
  update [ATTRIBUTE=VALUE...]     the same for entities that exist
  delete                          the end of an entity
  get-types [TYPE]                types and what they extend
  get-attributes [TYPE]           types and their attributes
  get-operations [TYPE]           types and their operations
  get-annotations [TYPE]          types and their annotations
  get-mgmt-nodes                  the management nodes of the network
  get-schema, get-json-schema     the whole schema
  get-log [limit=N]               the last lines of the log
Any other word is sent as it is, with ATTRIBUTE=VALUE as properties of the request.

exit status: 0 done, 1 refused or not reached, 2 the command line was not understood",
    chapters: &[
        Chapter {
            title: "entity",
            options: &[
                Opt::value(
                    "type",
                    "TYPE",
                    "The type of the entity, long or short: listener, address, link, ...",
                ),
                Opt::value("name", "NAME", "Its name."),
                Opt::value("identity", "ID", "Its identity; counts before the name."),
                Opt::flag(
                    "stdin",
                    "Read attributes from standard input: a JSON map, or a list of maps.",
                ),
                Opt::value(
                    "body",
                    "JSON",
                    "The body of a request that is none of the standard operations.",
                ),
                Opt::value("properties", "JSON", "Properties of such a request, as a map."),
            ],
        },
        Chapter {
            title: "output",
            options: &[
                Opt::value(
                    "indent",
                    "N",
                    "Blanks a level of JSON; default 2; -1: all on one line.",
                ),
                Opt::flag("json", "Print JSON, as is done anyway."),
                Opt::flag("verbose", "Accepted, and of no effect.").short('v'),
            ],
        },
        Chapter { title: "target", options: &[ROUTER, EDGE_ROUTER] },
        CONNECTION,
    ],
};

/// The entity of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) entity_type: Option<String>,
    pub(super) name: Option<String>,
    pub(super) identity: Option<String>,
}

impl Entity {
    /// Returns the same entity, with missing parts taken from attributes.
    pub(super) fn or(&self, attributes: &Map<String, Json>) -> Self {
        let other = |key| {
            attributes
                .get(key)
                .and_then(Json::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        Self {
            entity_type: self.entity_type.clone().or_else(|| other(property::TYPE)),
            name: self.name.clone().or_else(|| other(property::NAME)),
            identity: self.identity.clone().or_else(|| other(property::IDENTITY)),
        }
    }

    /// Returns a request for the entity. It omits the name beside an identity, for they could
    /// contradict.
    pub(super) fn request(&self, operation: &str) -> Request {
        let name = self.name.as_ref().filter(|_| self.identity.is_none());
        let pairs = [
            (property::TYPE, self.entity_type.as_ref()),
            (property::NAME, name),
            (property::IDENTITY, self.identity.as_ref()),
        ];
        pairs.into_iter().fold(Request::new(operation), |request, (key, value)| match value {
            Some(value) => request.with(key, Value::string(value.as_str())),
            None => request,
        })
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum Operation {
    Query {
        entity_type: Option<String>,
        attributes: Vec<String>,
    },
    /// `attributes` is `None` if they come on standard input.
    Create {
        entity: Entity,
        attributes: Option<Map<String, Json>>,
    },
    Update {
        entity: Entity,
        attributes: Option<Map<String, Json>>,
    },
    Read(Entity),
    Delete(Entity),
    /// A request about types, or about the network.
    Types {
        operation: &'static str,
        entity_type: Option<String>,
    },
    Other {
        operation: String,
        entity: Entity,
        properties: Map<String, Json>,
        body: Option<Json>,
    },
}

/// The options that hold for every operation.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) connecting: Connecting,
    /// Blanks for each level; `None` for one line.
    pub(super) indent: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Work {
    pub(super) arguments: Arguments,
    pub(super) operation: Operation,
}

#[derive(Debug)]
pub(super) enum Wish {
    Print(String),
    Work(Box<Work>),
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// The command line or a value on it is wrong.
pub(super) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Wish, Failure> {
    let parts = match COMMAND.read(args)? {
        options::Wish::Print(text) => return Ok(Wish::Print(text)),
        options::Wish::Parts(parts) => parts,
    };
    let mut connecting = Connecting::default();
    let mut given = Given::default();
    let mut indent = Some(2);
    let mut words = Vec::new();
    for part in parts {
        match connecting.take(&COMMAND, part)? {
            None => {}
            Some(Part::Word(word)) => words.push(word),
            Some(Part::Option(option, value)) => match option.long {
                "type" => {
                    given.entity.entity_type =
                        Some(long_type(&value)).filter(|name| !name.is_empty());
                }
                "name" => given.entity.name = Some(value),
                "identity" => given.entity.identity = Some(value),
                "stdin" => given.stdin = true,
                "body" => given.body = Some(value),
                "properties" => given.properties = Some(value),
                "indent" => {
                    let number: i64 = COMMAND.number(option, "int", &value)?;
                    // A deeper indentation is unreadable.
                    indent = (number != -1).then(|| usize::try_from(number).unwrap_or(0).min(100));
                }
                // `json` and `verbose` have no effect.
                _ => {}
            },
        }
    }
    let mut words = words.into_iter();
    let operation = words.next().ok_or_else(|| COMMAND.error("No operation specified"))?;
    given.words = words.collect();
    let operation = given.operation(operation)?;
    Ok(Wish::Work(Box::new(Work { arguments: Arguments { connecting, indent }, operation })))
}

/// The arguments of an operation.
#[derive(Default)]
struct Given {
    /// The words behind the operation's name.
    words: Vec<String>,
    entity: Entity,
    stdin: bool,
    body: Option<String>,
    properties: Option<String>,
}

impl Given {
    fn at_most(&self, most: usize) -> Result<(), Failure> {
        match self.words.get(most..) {
            Some([]) | None => Ok(()),
            Some(extra) => {
                let text = format!("Unexpected arguments: {}", extra.join(" "));
                Err(COMMAND.error(text).into())
            }
        }
    }

    /// Reads the attributes among the words; `None` if they come from the standard input.
    fn attributes(&self) -> Result<Option<Map<String, Json>>, Failure> {
        if self.stdin {
            return Ok(None);
        }
        attributes::read(&self.words, self.entity.entity_type.as_deref()).map(Some)
    }

    fn types(self, operation: &'static str) -> Result<Operation, Failure> {
        self.at_most(usize::from(self.entity.entity_type.is_none()))?;
        let entity_type = self.entity.entity_type.or_else(|| self.words.first().cloned());
        Ok(Operation::Types { operation, entity_type })
    }

    fn operation(self, name: String) -> Result<Operation, Failure> {
        Ok(match name.to_uppercase().as_str() {
            "QUERY" => {
                Operation::Query { entity_type: self.entity.entity_type, attributes: self.words }
            }
            "CREATE" => Operation::Create { attributes: self.attributes()?, entity: self.entity },
            "UPDATE" => Operation::Update { attributes: self.attributes()?, entity: self.entity },
            "READ" => {
                self.at_most(0)?;
                Operation::Read(self.entity)
            }
            "DELETE" => {
                self.at_most(0)?;
                Operation::Delete(self.entity)
            }
            "GET-TYPES" => self.types("GET-TYPES")?,
            "GET-ATTRIBUTES" => self.types("GET-ATTRIBUTES")?,
            "GET-OPERATIONS" => self.types("GET-OPERATIONS")?,
            "GET-ANNOTATIONS" => self.types("GET-ANNOTATIONS")?,
            "GET-MGMT-NODES" => {
                self.at_most(0)?;
                Operation::Types { operation: "GET-MGMT-NODES", entity_type: None }
            }
            _ => {
                let mut properties =
                    attributes::read(&self.words, self.entity.entity_type.as_deref())?;
                if let Some(text) = self.properties {
                    match json(&text)? {
                        Json::Object(members) => properties.extend(members),
                        _ => {
                            let text = "--properties is not a JSON map".to_owned();
                            return Err(Failure::Value(text));
                        }
                    }
                }
                let body = self.body.as_deref().map(json).transpose()?;
                Operation::Other { operation: name, entity: self.entity, properties, body }
            }
        })
    }
}

/// Reads JSON, or takes text without JSON's marks as a string.
fn json(text: &str) -> Result<Json, Failure> {
    serde_json::from_str(text).or_else(|error| {
        if text.contains(['"', '{', '}', '[', ']']) {
            Err(Failure::Value(format!("Invalid JSON '{text}': {error}")))
        } else {
            Ok(Json::from(text))
        }
    })
}

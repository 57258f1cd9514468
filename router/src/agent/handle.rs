//! From a request to its response.

use skupper_proto::amqp::Value;
use skupper_proto::management::{Request, Response, Status, property};

use super::columns::{columns, stands_apart};
use super::directory::{By, Directory, Record, Refusal, Requester};
use super::outcome::{Outcome, answer, cut, itself, kind, tell};
use super::query::Query;
use super::{change, describe, query, schema as types};
use crate::log;
use crate::schema::{EntityKind, ManagementAccess, Operation, quote};

/// A request that is being carried out.
pub struct Work<'a, D> {
    request: &'a Request,
    progress: Progress<'a, D>,
}

/// The progress of an operation.
enum Progress<'a, D> {
    /// It is finished.
    Done(Outcome),
    /// The query looks at entities.
    Query(Box<Query<'a, D>>),
}

impl<D> std::fmt::Debug for Work<'_, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("request", &self.request).finish_non_exhaustive()
    }
}

/// The target of a request.
enum Target {
    Management,
    Entity(Record),
}

/// Carries out a request at once. There is always a response.
pub fn handle<D: Directory>(directory: &D, request: &Request, requester: Requester) -> Response {
    let mut work = begin(directory, request, requester);
    loop {
        if let Some(response) = work.step(|| false) {
            return response;
        }
    }
}

/// Begins to carry out a request. All changes happen here. [`Work::step`] does what may take long.
pub fn begin<'a, D: Directory>(
    directory: &'a D,
    request: &'a Request,
    requester: Requester,
) -> Work<'a, D> {
    log!(Agent, Debug, "Agent request {}", describe::request(request));
    let progress = perform(directory, request, requester)
        .unwrap_or_else(|refusal| Progress::Done(Err(refusal)));
    Work { request, progress }
}

impl<D: Directory> Work<'_, D> {
    /// Goes on until the response is there, or until `enough` says so behind an entity. Then it
    /// returns `None`, and the caller calls it again.
    pub fn step(&mut self, enough: impl FnMut() -> bool) -> Option<Response> {
        let outcome = match &mut self.progress {
            Progress::Done(outcome) => std::mem::replace(outcome, Ok((Status::OK, Value::Null))),
            Progress::Query(query) => query.step(enough)?,
        };
        let request = self.request;
        let response = match outcome {
            Ok((status, body)) => Response::new(status, status.text(), body),
            Err(refusal) => {
                let operation = request
                    .operation
                    .as_deref()
                    .map(|word| quote(word).trim_matches('\'').to_owned());
                log!(
                    Agent,
                    Error,
                    "Error performing {}: {}",
                    operation.as_deref().unwrap_or("None"),
                    refusal.text
                );
                Response::new(refusal.status, refusal.text, refusal.body)
            }
        };
        log!(
            Agent,
            Debug,
            "Agent response: {} {} to {}",
            response.status.0,
            response.description,
            describe::request(request)
        );
        Some(answer(request, response))
    }
}

fn perform<'a, D: Directory>(
    directory: &'a D,
    request: &Request,
    requester: Requester,
) -> Result<Progress<'a, D>, Refusal> {
    let word = request.operation.as_deref().ok_or_else(|| {
        Refusal::bad(
            "No 'operation' property: the application property that says, as text, what is to be \
             done is missing",
        )
    })?;
    let operation = Operation::from_name(word);
    may_ask(requester.access, operation, word)?;
    if operation == Some(Operation::Create) {
        return change::create(directory, request).map(Progress::done);
    }
    let requested = request.text(property::TYPE).map(kind).transpose()?;
    // The core of a C router answers for these by rules of its own.
    if let Some(kind) = requested.filter(|kind| columns(*kind).is_some()) {
        return apart(directory, request, requester.connection, kind, operation, word);
    }
    match (find(directory, request, requested)?, operation) {
        (Target::Management, Some(Operation::Query)) => {
            query::query(directory, request).map(Progress::query)
        }
        (target, operation) => at(directory, request, target, operation, word).map(Progress::done),
    }
}

impl<'a, D> Progress<'a, D> {
    const fn done(answer: (Status, Value)) -> Self {
        Self::Done(Ok(answer))
    }

    fn query(query: Query<'a, D>) -> Self {
        Self::Query(Box::new(query))
    }
}

/// Carries out an operation on the management node itself, except a query, or on an entity.
fn at(
    directory: &impl Directory,
    request: &Request,
    target: Target,
    operation: Option<Operation>,
    word: &str,
) -> Outcome {
    match (target, operation) {
        (Target::Management, Some(operation))
            if EntityKind::Management.operations().any(|known| known == operation) =>
        {
            match operation {
                Operation::GetTypes => types::types(request),
                Operation::GetAnnotations => types::annotations(request),
                Operation::GetOperations => types::operations(request),
                Operation::GetAttributes => types::attributes(request),
                Operation::GetSchema => Ok((Status::OK, types::schema())),
                Operation::GetJsonSchema => types::json_schema(request),
                Operation::GetMgmtNodes => Ok((Status::OK, query::nodes(directory))),
                Operation::GetLog => query::log(directory, request),
                Operation::Read => Ok((Status::OK, tell(&itself()))),
                _ => Err(Refusal::new(
                    Status::NOT_IMPLEMENTED,
                    "Operation 'PROFILE' is not implemented by this router",
                )),
            }
        }
        (Target::Management, _) => Err(not_implemented(word, EntityKind::Management)),
        (Target::Entity(record), Some(operation))
            if record.kind.operations().any(|known| known == operation) =>
        {
            match operation {
                Operation::Read => Ok((Status::OK, tell(&record))),
                Operation::Update => change::update(directory, request, &record),
                Operation::Delete => change::delete(directory, &record),
                Operation::CallMe => Ok((Status::OK, echo(request))),
                _ => Err(not_implemented(word, record.kind)),
            }
        }
        (Target::Entity(record), _) => Err(not_implemented(word, record.kind)),
    }
}

/// Checks that the requester's listener allows the operation.
fn may_ask(
    access: ManagementAccess,
    operation: Option<Operation>,
    word: &str,
) -> Result<(), Refusal> {
    let (allowed, said) = match access {
        ManagementAccess::Full => (true, "full"),
        ManagementAccess::Read => (operation.is_some_and(Operation::only_reads), "read"),
        ManagementAccess::None => (false, "none"),
    };
    if allowed {
        return Ok(());
    }
    let text = format!(
        "Operation {} is not allowed: the listener that it came by has management: {said}",
        quote(word)
    );
    Err(Refusal::new(Status::FORBIDDEN, text))
}

/// Carries out an operation on a type for which the core of a C router answers.
fn apart<'a, D: Directory>(
    directory: &'a D,
    request: &Request,
    requester: Option<u64>,
    kind: EntityKind,
    operation: Option<Operation>,
    word: &str,
) -> Result<Progress<'a, D>, Refusal> {
    let (name, identity) = (request.text(property::NAME), request.text(property::IDENTITY));
    if operation == Some(Operation::Query) {
        return query::query(directory, request).map(Progress::query);
    }
    let outcome = match (kind, operation) {
        (
            EntityKind::RouterMetrics,
            Some(Operation::Read | Operation::Update | Operation::Delete),
        ) => Err(Refusal::plain(Status::FORBIDDEN).without_body()),
        (EntityKind::Connection, Some(Operation::Update)) => {
            change::connection(directory, request, requester)
        }
        (EntityKind::Connection, Some(Operation::Read)) => {
            let identity =
                identity.ok_or_else(|| Refusal::bad("Name not supported. Identity required"))?;
            one(directory, kind, By::Identity, identity).map(|record| (Status::OK, tell(&record)))
        }
        (
            EntityKind::Connection | EntityKind::Link | EntityKind::Address,
            Some(Operation::Update | Operation::Delete),
        ) => Err(Refusal::plain(Status::FORBIDDEN)),
        (_, Some(operation @ (Operation::Read | Operation::Delete))) => {
            let record = match (identity, name) {
                (Some(identity), _) => one(directory, kind, By::Identity, identity)?,
                (None, Some(name)) => one(directory, kind, By::Name, name)?,
                (None, None) => return Err(Refusal::bad("No name or identity provided")),
            };
            match operation {
                Operation::Delete => change::delete(directory, &record),
                _ => Ok((Status::OK, tell(&record))),
            }
        }
        _ => Err(not_implemented(word, kind)),
    };
    outcome.map(Progress::done)
}

fn one(
    directory: &impl Directory,
    kind: EntityKind,
    by: By,
    value: &str,
) -> Result<Record, Refusal> {
    directory
        .find(kind, by, value)
        .into_iter()
        .next()
        .ok_or_else(|| Refusal::plain(Status::NOT_FOUND))
}

fn not_implemented(word: &str, kind: EntityKind) -> Refusal {
    let text = format!(
        "Operation {} not implemented for '{}' {}",
        quote(&word.to_ascii_uppercase()),
        kind.long_name(),
        describe::operations(kind)
    );
    Refusal::new(Status::NOT_IMPLEMENTED, text)
}

/// Finds the entity that a request names, among those that do not stand apart.
fn find(
    directory: &impl Directory,
    request: &Request,
    requested: Option<EntityKind>,
) -> Result<Target, Refusal> {
    let wanted: Vec<(By, &str)> = [(By::Name, property::NAME), (By::Identity, property::IDENTITY)]
        .into_iter()
        .filter_map(|(by, property)| Some((by, request.text(property)?)))
        .collect();
    let extends = |kind: EntityKind| requested.is_none_or(|requested| kind.extends(requested));
    let Some((by, value)) = wanted.first().copied() else {
        return match requested {
            Some(requested) if !EntityKind::Management.extends(requested) => Err(Refusal::bad(
                format!("{}: No name or identity provided", requested.long_name()),
            )),
            _ => Ok(Target::Management),
        };
    };
    let shown = || {
        wanted
            .iter()
            .map(|(by, value)| format!("{}={}", by.attribute(), cut(value)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    if value == "self" {
        if wanted.iter().any(|(_, value)| *value != "self") {
            return Err(Refusal::bad(format!("Conflicting {}", shown())));
        }
        return match requested {
            Some(requested) if !EntityKind::Management.extends(requested) => {
                Err(mismatch(EntityKind::Management, requested))
            }
            _ => Ok(Target::Management),
        };
    }
    let among = |of_type: bool| {
        EntityKind::all()
            .filter(|kind| !stands_apart(*kind) && extends(*kind) == of_type)
            .flat_map(|kind| directory.find(kind, by, value))
            .collect::<Vec<_>>()
    };
    let mut found = among(true);
    let record = match (found.pop(), found.len()) {
        (Some(record), 0) => record,
        (Some(_), others) => {
            let text = format!(
                "Duplicate ({}) entities with {}={}",
                others + 1,
                by.attribute(),
                cut(value)
            );
            return Err(Refusal::new(Status::INTERNAL_ERROR, text));
        }
        (None, _) => {
            return Err(match (requested, among(false).first()) {
                (Some(requested), Some(other)) => mismatch(other.kind, requested),
                _ => Refusal::not_found(format!("No entity with {}", shown())),
            });
        }
    };
    if wanted.iter().any(|(by, value)| record.text(by.attribute()) != Some(value)) {
        return Err(Refusal::bad(format!("Conflicting {}", shown())));
    }
    Ok(Target::Entity(record))
}

fn mismatch(kind: EntityKind, requested: EntityKind) -> Refusal {
    let (kind, requested) = (kind.long_name(), requested.long_name());
    Refusal::bad(format!("Entity type '{kind}' does not extend requested type '{requested}'"))
}

/// Returns the application properties of a request.
fn echo(request: &Request) -> Value {
    let operation = request
        .operation
        .iter()
        .map(|word| (Value::string(property::OPERATION), Value::string(word.as_str())));
    let others = request
        .properties
        .iter()
        .map(|(name, value)| (Value::string(name.as_str()), value.clone()));
    Value::Map(operation.chain(others).collect())
}

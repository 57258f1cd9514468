//! Names in requests and entities in answers, for all operations.

use skupper_proto::amqp::Value;
use skupper_proto::management::{Request, Response, Status};

use super::columns::columns;
use super::directory::{Record, Refusal};
use crate::schema::{EntityKind, quote};

/// The result of an operation.
pub(super) type Outcome = Result<(Status, Value), Refusal>;

/// Addresses a response to the sender of the request.
pub(super) fn answer(request: &Request, response: Response) -> Response {
    Response {
        to: request.reply_to.clone(),
        correlation_id: request.correlation_id.clone(),
        ..response
    }
}

/// Finds the entity type of this name, short or long.
pub(super) fn kind(name: &str) -> Result<EntityKind, Refusal> {
    EntityKind::named(name)
        .ok_or_else(|| Refusal::bad(format!("No such entity type {}", quote(name))))
}

/// Returns the management node as an entity of itself.
pub(super) fn itself() -> Record {
    Record::new(EntityKind::Management)
        .with("identity", "self")
        .with("name", "self")
        .with("type", EntityKind::Management.long_name())
}

/// Returns text of a request, fit for one line.
pub(super) fn cut(text: &str) -> String {
    let quoted = quote(text);
    quoted.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(&quoted).to_owned()
}

/// Returns the body of a response that tells an entity. It has all columns of a type with columns,
/// else the attributes that have a value.
pub(super) fn tell(record: &Record) -> Value {
    Value::Map(match columns(record.kind) {
        Some(columns) => columns
            .iter()
            .map(|name| (Value::string(*name), record.get(name).cloned().unwrap_or_default()))
            .collect(),
        None => record
            .attributes
            .iter()
            .map(|(name, value)| (Value::string(*name), value.clone()))
            .collect(),
    })
}

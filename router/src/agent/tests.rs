//! Requests and their responses, on a directory in memory.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use skupper_proto::amqp::Value;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::management::{Request, Response, Status, Table, property};

use super::{
    By, ConnectionChange, Directory, Entities, LogLine, Page, Record, Refusal, Requester, Service,
    columns, handle,
};
use crate::core::{Account, Class, ConsumerEnd, Ended, Endpoint, Holder, Message, ProducerEnd};
use crate::schema::{Entity, EntityKind, ManagementAccess};

mod changes;
mod queries;
mod reads;
mod rights;
mod served;
mod slices;
mod told;

const LISTENER: &str = "io.skupper.router.listener";
const DUMMY: &str = "io.skupper.router.dummy";

/// Keeps entities, and does nothing with them.
#[derive(Default)]
struct Memory {
    entities: Mutex<Vec<Entity>>,
    connections: usize,
    changes: Mutex<Vec<(String, ConnectionChange)>>,
    access: Option<ManagementAccess>,
}

fn told(entity: &Entity) -> Record {
    Record::of(&Arc::new(entity.clone()))
}

impl Memory {
    fn with(entities: &[(&str, &[(&str, &str)])]) -> Self {
        let memory = Self::default();
        for (kind, attributes) in entities {
            let attributes: Vec<_> = attributes
                .iter()
                .map(|(name, value)| (*name, serde_json::Value::from(*value)))
                .collect();
            let given = attributes.iter().map(|(name, value)| (*name, value));
            memory.create(Entity::new(EntityKind::named(kind).unwrap(), given).unwrap()).unwrap();
        }
        memory
    }
}

impl Directory for Memory {
    fn entities(&self, kind: EntityKind, page: Page) -> Entities<'_> {
        if kind == EntityKind::Connection {
            let connection = move |id: usize| {
                Record::new(kind).with("identity", id.to_string()).with("host", format!("h{id}"))
            };
            return Box::new(page.of((0..self.connections).map(connection)));
        }
        let entities = self.entities.lock().unwrap();
        let found: Vec<_> =
            entities.iter().filter(|entity| entity.kind() == kind).map(told).collect();
        Box::new(page.of(found))
    }

    fn create(&self, mut entity: Entity) -> Result<Record, Refusal> {
        let mut entities = self.entities.lock().unwrap();
        entity.identify(entities.len());
        entities.push(entity);
        Ok(told(entities.last().unwrap()))
    }

    fn update(&self, record: &Record, mut entity: Entity) -> Result<Record, Refusal> {
        let mut entities = self.entities.lock().unwrap();
        let place = entities
            .iter()
            .position(|known| known.text("identity") == record.text("identity"))
            .unwrap();
        entity.set("identity", entities[place].value("identity").unwrap().clone());
        entities[place] = entity;
        Ok(told(&entities[place]))
    }

    fn delete(&self, record: &Record) -> Result<(), Refusal> {
        self.entities
            .lock()
            .unwrap()
            .retain(|known| known.text("identity") != record.text("identity"));
        Ok(())
    }

    fn change_connection(
        &self,
        identity: &str,
        change: ConnectionChange,
        _: Option<u64>,
    ) -> Result<Record, Refusal> {
        self.changes.lock().unwrap().push((identity.to_owned(), change));
        let found = self.find(EntityKind::named("connection").unwrap(), By::Identity, identity);
        found.into_iter().next().ok_or_else(|| Refusal::plain(Status::BAD_REQUEST))
    }

    fn access(&self, _: u64) -> Option<ManagementAccess> {
        self.access
    }

    fn log(&self, limit: Option<usize>) -> Vec<LogLine> {
        let line = |n: i64| LogLine {
            module: "AGENT",
            level: "debug",
            text: format!("line {n}"),
            source: (n == 1).then_some(("a.rs", 7)),
            seconds: n,
        };
        (0..3).skip(3 - limit.unwrap_or(3).min(3)).map(line).collect()
    }
}

fn ask(directory: &Memory, request: Request) -> Response {
    let request = Request {
        reply_to: Some("reply".to_owned()),
        correlation_id: Some(Value::Ulong(7)),
        ..request
    };
    let response = handle(
        directory,
        &request,
        Requester { connection: None, access: directory.access.unwrap_or(ManagementAccess::Full) },
    );
    assert_eq!(
        (response.to.as_deref(), &response.correlation_id),
        (Some("reply"), &Some(Value::Ulong(7)))
    );
    // Whatever it is, it can be written and read.
    assert_eq!(Response::decode(&response.encode()).as_ref(), Ok(&response));
    response
}

fn refused(directory: &Memory, request: Request) -> (i32, String) {
    let before = directory.entities.lock().unwrap().len();
    let response = ask(directory, request);
    assert!(!response.status.is_success(), "{response:?}");
    assert_eq!(directory.entities.lock().unwrap().len(), before, "half done");
    (response.status.0, response.description)
}

fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(name, value)| (Value::string(*name), value.clone())).collect())
}

fn text(text: &str) -> Value {
    Value::string(text)
}

fn request(operation: &str, properties: &[(&str, &str)], body: &[(&str, Value)]) -> Request {
    let request = Request::new(operation).with_body(map(body));
    properties.iter().fold(request, |request, (name, value)| request.with(*name, *value))
}

fn table(response: Response) -> Table {
    assert_eq!(response.status, Status::OK, "{}", response.description);
    Table::from_body(response.body).unwrap()
}

type Sent = Arc<Mutex<Vec<(String, Response)>>>;

fn service_of(memory: Memory) -> (Arc<Service<Memory>>, Sent) {
    let sent = Sent::default();
    let outlet = Arc::clone(&sent);
    let service = Service::new(
        Arc::new(memory),
        tokio::runtime::Handle::current(),
        Arc::new(move |to: &str, octets: Bytes| {
            outlet.lock().unwrap().push((to.to_owned(), Response::decode(&octets).unwrap()));
        }),
    );
    (service, sent)
}

/// Lets what was spawned run until nothing more happens.
async fn settle() {
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
}

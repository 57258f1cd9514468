//! A management node, with requests and their responses.

use skupper_proto::amqp::Value;
use skupper_proto::annotations::{self, Parsed};
use skupper_proto::management::{Request, Response, Status, Table, property};

use super::connection::Connection;
use super::error::ClientError;
use super::options::Options;

/// Rows of one page. A page is small enough for any router to send and for any client to take.
const PAGE: usize = 500;

/// Most rows of a query, ten times those of the largest networks. The bound ends a query to a
/// router that sends rows without end.
const MAX_ROWS: usize = 1_000_000;

/// A management node, reached over a connection of its own.
pub struct Node {
    connection: Connection,
    address: String,
    requests: u64,
}

/// Returns the address of a management node: of the connected router, of another interior router,
/// or of an edge router.
pub fn node_address(router: Option<&str>, edge_router: Option<&str>) -> String {
    match (router, edge_router) {
        (Some(id), _) => format!("_topo/0/{id}/$management"),
        (None, Some(id)) => format!("_edge/{id}/$management"),
        (None, None) => "$management".to_owned(),
    }
}

/// Returns a message without the router annotations at its beginning. A listener with
/// `stripAnnotations: no` leaves them on.
fn without_annotations(message: &[u8]) -> &[u8] {
    match annotations::parse(message) {
        Ok(Parsed::Present(annotations)) => message.get(annotations.length..).unwrap_or_default(),
        _ => message,
    }
}

impl Node {
    /// Connects, and attaches to the management node at `address`.
    ///
    /// # Errors
    /// The files, the network or the peer prevent it, or the time is over.
    pub async fn connect(options: &Options, address: &str) -> Result<Self, ClientError> {
        let mut connection = Connection::open(options).await?;
        match connection.attach(address).await {
            Ok(()) => Ok(Self { connection, address: address.to_owned(), requests: 0 }),
            Err(error) => {
                connection.close().await;
                Err(error)
            }
        }
    }

    /// Attaches to another management node, over the same connection.
    ///
    /// # Errors
    /// The peer refuses, or does not answer in time.
    pub async fn turn_to(&mut self, address: &str) -> Result<(), ClientError> {
        self.connection.attach(address).await?;
        address.clone_into(&mut self.address);
        Ok(())
    }

    /// Closes the connection politely.
    pub async fn close(self) {
        self.connection.close().await;
    }

    /// Sends a request and waits for the body of its response, which must have the status
    /// `expected`.
    ///
    /// # Errors
    /// No response, one that cannot be read, or one with another status.
    pub async fn call(&mut self, request: Request, expected: Status) -> Result<Value, ClientError> {
        self.requests = self.requests.wrapping_add(1);
        let correlation_id = Value::string(self.requests.to_string());
        let request = Request {
            reply_to: self.connection.reply_to.clone(),
            correlation_id: Some(correlation_id.clone()),
            body: if request.body == Value::Null { Value::Map(Vec::new()) } else { request.body },
            ..request
        };
        self.connection.arrived.clear();
        self.connection.expect_one();
        self.connection.send(&self.address, request.encode()).await?;
        let response = loop {
            let message = self.connection.receive().await?;
            let response = Response::decode(without_annotations(&message))?;
            if response.correlation_id.as_ref() == Some(&correlation_id) {
                break response;
            }
            // This is the late response to a request that was given up.
            self.connection.expect_one();
        };
        let Response { status, description, body, .. } = response;
        match status {
            status if status == expected => Ok(body),
            status if status.is_success() => {
                Err(ClientError::Unexpected { status, expected, description })
            }
            status => Err(ClientError::Status { status, description }),
        }
    }

    /// Returns entities of a type, or of all types.
    ///
    /// Returns the attributes of these names, or all attributes if there are no names. Returns at
    /// most `limit` entities, or all without a limit.
    ///
    /// # Errors
    /// Those of [`Node::call`], and a response that is no table.
    pub async fn query(
        &mut self,
        entity_type: Option<&str>,
        attribute_names: &[&str],
        limit: Option<usize>,
    ) -> Result<Table, ClientError> {
        let mut all = Table::default();
        loop {
            let left = limit.map_or(usize::MAX, |limit| limit.saturating_sub(all.results.len()));
            let count = left.min(PAGE);
            let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            let request = Request::query(entity_type, attribute_names)
                .with(property::OFFSET, number(all.results.len()))
                .with(property::COUNT, number(count));
            let body = self.call(request, Status::OK).await?;
            let page = Table::from_body(body).ok_or(ClientError::NoTable)?;
            let rows = page.results.len();
            // C routers page only the entities of their core. They send all others at once, each
            // time.
            let known = ["name", "identity"].iter().any(|name| page.column(name).is_some());
            if known && rows > 0 && all.results.ends_with(&page.results) {
                return Ok(all);
            }
            if all.attribute_names.is_empty() {
                all.attribute_names = page.attribute_names;
            }
            all.results.extend(page.results);
            if all.results.len() > MAX_ROWS {
                return Err(ClientError::TooMany(MAX_ROWS));
            }
            // A node that ignores the count has sent everything.
            if rows != count || rows >= left {
                all.results.truncate(limit.unwrap_or(usize::MAX));
                return Ok(all);
            }
        }
    }
}

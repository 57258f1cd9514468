//! The opening handshake (RFC 6455, section 4.2).

use hyper::header::{
    HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Request, Response, StatusCode};
use tungstenite::handshake::server;

/// The subprotocols for AMQP: that of the OASIS binding, and one that clients used before it.
const PROTOCOLS: [&str; 2] = ["amqp", "binary"];

/// Returns true if a request asks for WebSocket.
pub fn is_asked(headers: &HeaderMap) -> bool {
    tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
}

/// Returns the answer that accepts a request, without a body.
///
/// # Errors
/// Status and text of the refusal: the handshake is invalid, or offers no subprotocol for
/// AMQP.
pub fn answer(request: &Request<()>) -> Result<Response<()>, (StatusCode, &'static str)> {
    let version = request.headers().get(SEC_WEBSOCKET_VERSION);
    if version.is_some_and(|version| version != "13") {
        return Err((
            StatusCode::UPGRADE_REQUIRED,
            "only version 13 of WebSocket is spoken here\n",
        ));
    }
    let mut answer = server::create_response(request)
        .map_err(|_| (StatusCode::BAD_REQUEST, "not a WebSocket handshake\n"))?;
    let offered = |protocol: &&&str| {
        tokens(request.headers(), &SEC_WEBSOCKET_PROTOCOL).any(|token| token == **protocol)
    };
    let Some(protocol) = PROTOCOLS.iter().find(offered) else {
        return Err((StatusCode::BAD_REQUEST, "the WebSocket subprotocol here is amqp\n"));
    };
    answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    Ok(answer)
}

/// Returns the comma-separated words of a header that may occur several times.
fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &hyper::header::HeaderName,
) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

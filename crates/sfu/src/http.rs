//! What WHIP and WHEP have in common as HTTP: routes, offers as bodies, problems as JSON, CORS.

use std::time::Duration;

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, Resource, ResponseError,
    http::{Method, StatusCode, header},
    middleware::DefaultHeaders,
    web::{self, Data, Path, Payload, ServiceConfig},
};
use bytes::BytesMut;
use futures_util::StreamExt;

use crate::{
    app::App,
    http_session::Protocol,
    ids::SessionId,
    problem::{Code, Problem},
    whep, whip,
};

pub(crate) const SDP: &str = "application/sdp";
/// For an offer that a client sends slowly on purpose.
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// After a refusal for lack of room.
const RETRY_AFTER_SECONDS: &str = "5";

/// A problem as an HTTP answer.
#[derive(Debug)]
pub(crate) struct HttpProblem(pub(crate) Problem);

impl std::fmt::Display for HttpProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: Into<Problem>> From<E> for HttpProblem {
    fn from(problem: E) -> Self {
        Self(problem.into())
    }
}

impl ResponseError for HttpProblem {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponseBuilder::new(status);
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            response.insert_header(("Accept-Post", SDP));
        }
        response.json(&self.0)
    }
}

/// Adds the routes of WHIP and WHEP. Pages of other origins may use them (RFC 9725 §4.2).
pub(crate) fn configure(service: &mut ServiceConfig) {
    let cors = || {
        DefaultHeaders::new()
            .add((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .add((header::ACCESS_CONTROL_EXPOSE_HEADERS, "Location, Link, ETag, Retry-After"))
    };
    service.service(
        web::scope("/whip")
            .wrap(cors())
            .service(endpoint().route(web::post().to(whip::publish)))
            .service(session(Protocol::Whip)),
    );
    service.service(
        web::scope("/whep")
            .wrap(cors())
            .service(endpoint().route(web::post().to(whep::view)))
            .service(session(Protocol::Whep)),
    );
}

/// Where sessions are made; the caller adds `POST`.
fn endpoint() -> Resource {
    common(web::resource("/{room}"), "POST, GET, OPTIONS")
}

/// A session's own address.
fn session(protocol: Protocol) -> Resource {
    let end = move |app: Data<App>, path: Path<(String, String)>| async move {
        let (room, id) = path.into_inner();
        end(&app, protocol, &room, &id).await
    };
    common(web::resource("/{room}/{session}"), "DELETE, GET, OPTIONS").route(web::delete().to(end))
}

/// What an address answers whatever it stands for.
fn common(resource: Resource, methods: &'static str) -> Resource {
    let options = move || async move {
        HttpResponse::NoContent()
            .insert_header((header::ALLOW, methods))
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type, Authorization, If-Match"))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"))
            .insert_header(("Accept-Post", SDP))
            .finish()
    };
    let refused = move || async move {
        // RFC 9725 §4.3: without trickle ICE and restarts there is nothing to PATCH.
        let problem = Problem::new(Code::MethodNotAllowed, format!("this address takes {methods}"));
        let mut response = HttpProblem(problem).error_response();
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(methods));
        response
    };
    resource
        .route(web::get().to(|| async { HttpResponse::NoContent().finish() }))
        .route(web::method(Method::OPTIONS).to(options))
        .default_service(web::to(refused))
}

async fn end(app: &App, protocol: Protocol, room: &str, id: &str) -> Result<HttpResponse, HttpProblem> {
    if app.http_sessions.end(protocol, room, &SessionId::from(id)).await {
        return Ok(HttpResponse::Ok().finish());
    }
    let problem = Problem::new(Code::NoSuchSession, "there is no such session: it has ended, or never was");
    app.metrics.problem(problem.code);
    Err(HttpProblem(problem))
}

/// Reads an SDP offer from a request.
pub(crate) async fn read_offer(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
) -> Result<String, Problem> {
    check_type(request)?;
    let most = app.config.limits.sdp_bytes;
    let body = tokio::time::timeout(BODY_PATIENCE, read_body(request, payload, most)).await;
    let body = body.map_err(|_| Problem::new(Code::TimedOut, "the offer did not come in time"))??;
    String::from_utf8(body.to_vec()).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Problem::new(Code::InvalidSdp, "the offer is not text in UTF-8").in_line(line)
    })
}

fn check_type(request: &HttpRequest) -> Result<(), Problem> {
    let unsupported = |message: &str| Problem::new(Code::UnsupportedType, message);
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(unsupported("the offer must not be compressed"));
    }
    if !request.content_type().eq_ignore_ascii_case(SDP) {
        return Err(unsupported("the offer must have the content type application/sdp"));
    }
    Ok(())
}

async fn read_body(request: &HttpRequest, mut payload: Payload, most: usize) -> Result<BytesMut, Problem> {
    let too_large = || Problem::new(Code::TooLarge, format!("an offer has at most {most} bytes"));
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::new(Code::InvalidMessage, format!("the offer could not be read: {error}"))
        })?;
        if body.len() + chunk.len() > most {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// RFC 9725 §4.2: the answer, and the address that stands for the session.
pub(crate) fn created(protocol: Protocol, room: &str, id: &SessionId, answer: String) -> HttpResponse {
    let location = format!("/{}/{}/{id}", protocol.as_str(), percent_encoded(room));
    HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .insert_header((header::CONTENT_TYPE, SDP))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(answer)
}

/// RFC 3986 §2.1, of everything but unreserved characters.
fn percent_encoded(segment: &str) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_of_any_name_has_an_address() {
        assert_eq!(percent_encoded("demo-1"), "demo-1");
        assert_eq!(percent_encoded("a b/ä\r\n"), "a%20b%2F%C3%A4%0D%0A");
    }
}

//! As much of an HTTP/1.1 client as asking one's own server on loopback needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

/// A server on the same machine that has not answered by then is stuck.
const PATIENCE: Duration = Duration::from_secs(20);
/// No page or scrape of ours comes near this.
const LENGTH_MAX: u64 = 64 << 20;

/// A whole response.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

pub(crate) fn get(server: SocketAddr, path: &str) -> Result<Response> {
    request(server, "GET", path, None)
}

/// Sends one request over a connection of its own; `body` is (content type, text).
pub(crate) fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    body: Option<(&str, &str)>,
) -> Result<Response> {
    let context = || format!("{method} http://{server}{path}");
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).with_context(context)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    if let Some((kind, text)) = body {
        head.push_str(&format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", text.len()));
    }
    let text = body.map(|(_, text)| text).unwrap_or_default();
    stream.write_all(format!("{head}\r\n{text}").as_bytes()).with_context(context)?;
    let mut bytes = Vec::new();
    stream.take(LENGTH_MAX).read_to_end(&mut bytes).with_context(context)?;
    parse(&bytes).with_context(context)
}

fn parse(bytes: &[u8]) -> Result<Response> {
    let end = find(bytes, b"\r\n\r\n").ok_or_else(|| anyhow!("the response has no end of headers"))?;
    let head = std::str::from_utf8(&bytes[..end]).context("headers that are not text")?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| anyhow!("not a status line: {status_line:?}"))?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked")
    });
    let rest = &bytes[end + 4..];
    let body = if chunked { join_chunks(rest)? } else { rest.to_vec() };
    Ok(Response { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// RFC 9112 §7.1, without trailers.
fn join_chunks(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n").ok_or_else(|| anyhow!("a chunk without a size"))?;
        let size = std::str::from_utf8(&rest[..end])?.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).context("a chunk's size")?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok(body);
        }
        if rest.len() < size + 2 {
            bail!("the last chunk is cut short");
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_and_a_chunked_body_read_the_same() {
        let plain = parse(b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nhello").unwrap();
        assert_eq!((plain.status, plain.body.as_str(), plain.header("x-a")), (200, "hello", Some("b")));
        let chunked = parse(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        );
        assert_eq!(chunked.unwrap().body, "hello");
    }

    #[test]
    fn a_cut_response_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nX-A: b").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhe").is_err());
    }
}

//! `POST /whip/ROOM` and `POST /whep/ROOM` with an offer as the body, answered with an answer: no more of HTTP than
//! a bench on loopback needs. There is one room.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result, bail};

/// A description of many sections; nothing here is exposed to strangers.
const BODY_MAX: usize = 1 << 20;

/// What a peer comes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// WHIP.
    Publisher,
    /// WHEP.
    Subscriber,
}

/// Listens at the address behind `--listen` and prints it; `answer` makes an answer of an offer, on a thread of its
/// own for each request.
///
/// # Errors
/// When the port can't be had.
pub fn serve<F>(answer: F) -> Result<()>
where
    F: Fn(Role, String) -> Result<String> + Send + Sync + 'static,
{
    let address = argument("--listen").unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(&address).with_context(|| address.clone())?;
    println!("ready: http://{}", listener.local_addr()?);
    let answer = Arc::new(answer);
    for stream in listener.incoming() {
        let (stream, answer) = (stream?, Arc::clone(&answer));
        thread::spawn(move || {
            if let Err(error) = handle(&stream, &*answer) {
                eprintln!("{error:#}");
                let text = format!("{error:#}");
                let _ = respond(&stream, "500 Internal Server Error", "text/plain", &text);
            }
        });
    }
    Ok(())
}

/// The address behind `--media`: where media goes to and comes from.
///
/// # Errors
/// When it is no IP address.
pub fn media_address() -> Result<IpAddr> {
    let text = argument("--media").unwrap_or_else(|| "127.0.0.1".to_owned());
    text.parse().with_context(|| format!("--media {text}"))
}

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn handle(stream: &TcpStream, answer: &dyn Fn(Role, String) -> Result<String>) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0_usize);
    reader.read_line(&mut request)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    if length > BODY_MAX {
        bail!("a body of {length} bytes");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let role = match request.split_whitespace().collect::<Vec<_>>()[..] {
        ["POST", path, _] if path.starts_with("/whip/") => Role::Publisher,
        ["POST", path, _] if path.starts_with("/whep/") => Role::Subscriber,
        _ => return respond(stream, "404 Not Found", "text/plain", "not found"),
    };
    let answer = answer(role, String::from_utf8(body)?)?;
    respond(stream, "201 Created", "application/sdp", &answer)
}

fn respond(mut stream: &TcpStream, status: &str, kind: &str, body: &str) -> Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    Ok(())
}

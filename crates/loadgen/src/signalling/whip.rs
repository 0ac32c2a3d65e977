//! WHIP and WHEP (RFC 9725): one HTTP request makes a session, another ends it.

use anyhow::{Context, bail};

use super::{Session, agent, host_of};

/// Posts an offer; returns the answer and the session it made.
pub(crate) async fn post(url: String, offer: String) -> anyhow::Result<(String, Session)> {
    tokio::task::spawn_blocking(move || post_blocking(&url, &offer)).await?
}

fn post_blocking(url: &str, offer: &str) -> anyhow::Result<(String, Session)> {
    let mut response = agent()
        .post(url)
        .header("content-type", "application/sdp")
        .send(offer)
        .with_context(|| format!("POST {url}"))?;
    let location = response.headers().get("location").and_then(|value| value.to_str().ok());
    let location = location.map(|location| absolute(url, location)).transpose()?;
    let body = response.body_mut().read_to_string()?;
    if response.status() != 201 {
        bail!("POST {url}: {} {body}", response.status());
    }
    Ok((body, Session::Http(location.unwrap_or_default())))
}

fn absolute(url: &str, location: &str) -> anyhow::Result<String> {
    if location.starts_with("http://") {
        return Ok(location.to_owned());
    }
    Ok(format!("http://{}{location}", host_of(url)?))
}

/// Ends a session; one without an address has no other end than silence.
pub(crate) async fn delete(url: String) -> anyhow::Result<()> {
    if url.is_empty() {
        return Ok(());
    }
    let request = move || agent().delete(&url).call().with_context(|| format!("DELETE {url}"));
    tokio::task::spawn_blocking(request).await??;
    Ok(())
}

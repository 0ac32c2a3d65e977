//! WHIP and WHEP: one HTTP request per call (RFC 9725).

use actix_rtc::{RtcPeerConnection, RtcSessionDescription};
use anyhow::{Context, bail};

/// Sends our offer with all candidates to `url` and applies the answer.
pub(crate) async fn call(connection: &RtcPeerConnection, url: &str) -> anyhow::Result<()> {
    connection.set_local_description(None).await?;
    connection.gathering_complete().await?;
    let offer = connection.local_description().context("no local description")?.sdp;
    let url = url.to_owned();
    let answer = tokio::task::spawn_blocking(move || post(&url, &offer)).await??;
    connection.set_remote_description(RtcSessionDescription::answer(answer)).await?;
    Ok(())
}

fn post(url: &str, offer: &str) -> anyhow::Result<String> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent
        .post(url)
        .header("content-type", "application/sdp")
        .send(offer)
        .with_context(|| format!("POST {url}"))?;
    let body = response.body_mut().read_to_string()?;
    if response.status() != 201 {
        bail!("POST {url}: {} {body}", response.status());
    }
    Ok(body)
}

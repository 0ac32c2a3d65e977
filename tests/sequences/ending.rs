//! How every sequence ends: both sides go back to stable, negotiate once in each direction, connect, and one message
//! crosses.

use std::time::Duration;

use actix_rtc::{
    RtcDataChannel, RtcDataChannelEvent, RtcDataChannelInit, RtcError, RtcPeerConnection,
    RtcPeerConnectionState as State, RtcSdpType, RtcSessionDescription, RtcSignalingState,
};
use futures_util::StreamExt;

use crate::{calls::rollback, run::Trace, side::Side};

/// How a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Stable, connected, and a message came through.
    Connected,
    /// The same, but only after an ICE restart.
    Restarted,
    /// One of the two refused the other's description by an error that the specification names.
    Refused,
    /// The connection has failed and says so.
    Failed,
    /// The same, though both have seen the same exchanges: a defect that is known, rare, and depends on timing.
    FailedThoughAgreed,
}

const LABEL: &str = "the last one";

/// `agreed`: the two have seen the same exchanges, so that nothing but [`Ending::Connected`] will do.
pub(crate) async fn finish(near: &Side, far: &Side, agreed: bool, trace: &Trace) -> Result<Ending, String> {
    for side in [near, far] {
        settle(side).await.map_err(|error| format!("{} can't return to stable: {error}", side.name))?;
    }
    trace.note("both are stable".to_owned());
    let channel = match near.connection.create_data_channel(LABEL, RtcDataChannelInit::default()).await {
        Ok(channel) => channel,
        // The association was shut down by what the sequence did: the connection has failed.
        Err(error @ RtcError::InvalidStateError(_)) if !agreed => {
            trace.note(format!("no channel: {error}"));
            return Ok(Ending::Failed);
        }
        Err(error) => return Err(format!("no data channel: {error}")),
    };
    for (offerer, answerer) in [(near, far), (far, near)] {
        if let Err((call, error)) = negotiate(&offerer.connection, &answerer.connection).await {
            let told = format!("{} offers, {call}: {}: {error}", offerer.name, error.name());
            if agreed || !matches!(error.name(), "InvalidAccessError" | "OperationError") {
                return Err(told);
            }
            trace.note(told);
            for side in [near, far] {
                settle(side).await.map_err(|error| format!("{} is stuck: {error}", side.name))?;
            }
            return Ok(Ending::Refused);
        }
        trace.note(format!("{} has offered", offerer.name));
        for side in [near, far] {
            let state = side.connection.signaling_state();
            if state != RtcSignalingState::Stable {
                return Err(format!("{} is {state:?} after an exchange", side.name));
            }
        }
    }
    let mut states = tokio::join!(connected(near), connected(far));
    let mut ending = Ending::Connected;
    if states != (State::Connected, State::Connected) {
        // Failed before the last candidates were there: an ICE restart is the way out (webrtc-pc §4.4.1.6).
        trace.note(format!("connection states: {states:?}; {}; {}", transports(near), transports(far)));
        near.connection.restart_ice().await.map_err(|error| error.to_string())?;
        let restarted = negotiate(&near.connection, &far.connection).await;
        restarted.map_err(|(call, error)| format!("ICE restart, {call}: {error}"))?;
        states = tokio::join!(revived(near), revived(far));
        ending = Ending::Restarted;
    }
    trace.note(format!("connection states: {states:?}; {}; {}", transports(near), transports(far)));
    if states != (State::Connected, State::Connected) {
        return Ok(if agreed { Ending::FailedThoughAgreed } else { Ending::Failed });
    }
    say_hello(&channel, far).await?;
    Ok(ending)
}

/// Which transport it is that has failed, for people.
fn transports(side: &Side) -> String {
    let states =
        side.connection.transports().into_iter().map(|dtls| (dtls.ice_transport().state(), dtls.state()));
    let failures = side.signalled.lock().expect("no panic").failures.clone();
    format!("{}: {:?} {failures:?}", side.name, states.collect::<Vec<_>>())
}

/// Rolls back what can be, answers the rest: a provisional answer can't be taken back (webrtc-pc §4.4.1.5).
async fn settle(side: &Side) -> Result<(), RtcError> {
    let connection = &side.connection;
    match connection.signaling_state() {
        RtcSignalingState::HaveLocalOffer => connection.set_local_description(Some(rollback())).await?,
        RtcSignalingState::HaveRemoteOffer => connection.set_remote_description(rollback()).await?,
        RtcSignalingState::HaveLocalPranswer => connection.set_local_description(None).await?,
        RtcSignalingState::HaveRemotePranswer => {
            let sdp = connection.pending_remote_description().map(|pranswer| pranswer.sdp);
            let answer = RtcSessionDescription { kind: RtcSdpType::Answer, sdp: sdp.unwrap_or_default() };
            connection.set_remote_description(answer).await?;
        }
        _ => {}
    }
    match connection.signaling_state() {
        RtcSignalingState::Stable => Ok(()),
        state => Err(RtcError::InvalidStateError(format!("it stays {state:?}"))),
    }
}

type Refused = (&'static str, RtcError);

/// One exchange with all candidates; which call failed, if one did.
async fn negotiate(offerer: &RtcPeerConnection, answerer: &RtcPeerConnection) -> Result<(), Refused> {
    let at = |call| move |error| (call, error);
    let nothing = |call: &'static str| move || (call, RtcError::Gone("there is no description".to_owned()));
    offerer.set_local_description(None).await.map_err(at("local offer"))?;
    offerer.gathering_complete().await.map_err(at("offerer's candidates"))?;
    let offer = offerer.local_description().ok_or_else(nothing("local offer"))?;
    answerer.set_remote_description(offer).await.map_err(at("remote offer"))?;
    answerer.set_local_description(None).await.map_err(at("local answer"))?;
    answerer.gathering_complete().await.map_err(at("answerer's candidates"))?;
    let answer = answerer.local_description().ok_or_else(nothing("local answer"))?;
    offerer.set_remote_description(answer).await.map_err(at("remote answer"))
}

/// Waits for the connection to succeed or fail.
async fn connected(side: &Side) -> State {
    let mut news = side.news.clone();
    let over = |_: &()| {
        matches!(side.connection.connection_state(), State::Connected | State::Failed | State::Closed)
    };
    // An error means that there are no more events; the state says the rest.
    let _ = news.wait_for(over).await;
    side.connection.connection_state()
}

/// How long a connection that has failed may take to connect after an ICE restart; a failure is told no sooner.
const REVIVAL: Duration = Duration::from_secs(20);

/// Waits for a connection that had failed.
async fn revived(side: &Side) -> State {
    let mut news = side.news.clone();
    let over = |_: &()| side.connection.connection_state() == State::Connected;
    let _ = tokio::time::timeout(REVIVAL, news.wait_for(over)).await;
    side.connection.connection_state()
}

async fn say_hello(channel: &RtcDataChannel, far: &Side) -> Result<(), String> {
    let mut events = channel.events();
    loop {
        match events.next().await {
            Some(RtcDataChannelEvent::Open) => break,
            Some(RtcDataChannelEvent::Error(error)) => return Err(format!("the channel failed: {error}")),
            Some(_) => {}
            None => return Err("the channel has ended before it opened".to_owned()),
        }
    }
    channel.send("hello").await.map_err(|error| format!("nothing can be sent: {error}"))?;
    let mut channels = far.channels.lock().await;
    while let Some(opened) = channels.recv().await {
        if opened.label() == LABEL {
            return match opened.events().message().await {
                Some(message) if message == "hello".into() => Ok(()),
                other => Err(format!("the message was not received: {other:?}")),
            };
        }
    }
    Err("the channel was never announced".to_owned())
}

//! What may be said about encodings, and when (W3C webrtc-pc §5.1 `addTransceiver`, §5.2 `getParameters`
//! and `setParameters`).

use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    RtcRtcpParameters, RtcRtpEncodingParameters, RtcRtpReceiveParameters, RtcRtpSendParameters, capabilities,
};
use crate::{
    messages::{
        error::RtcError,
        peer_connection::{EncodingParameters, TransceiverSnapshot},
    },
    proto::rtp::{MediaKind, Rid},
};

/// The longest rid (RFC 8852 §3.1: what fits into a one-byte header extension).
const RID_LENGTH_MAX: usize = 16;
/// Simulcast encodings of one sender: more than any browser sends. W3C: what is more is left out.
const ENCODINGS_MAX: usize = 8;

impl RtcRtpSendParameters {
    /// The same, as a new look at them.
    pub(super) fn with_new_transaction(mut self) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.transaction_id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        self
    }
}

/// What a sender does, without transaction.
pub(super) fn of(transceiver: &TransceiverSnapshot) -> RtcRtpSendParameters {
    let kind = transceiver.kind;
    let mut encodings: Vec<_> = transceiver.send_encodings.iter().map(shown).collect();
    if encodings.is_empty() {
        encodings.push(RtcRtpEncodingParameters::default());
    }
    for encoding in &mut encodings {
        fit_to_kind(kind, encoding, 1.0);
    }
    let mut parameters = RtcRtpSendParameters { encodings, ..RtcRtpSendParameters::default() };
    if let Some(send) = &transceiver.send_parameters {
        parameters.codecs = send.codecs.iter().map(|codec| capabilities::negotiated(kind, codec)).collect();
        parameters.header_extensions = capabilities::extensions(&send.extensions);
        parameters.rtcp = RtcRtcpParameters {
            cname: Some(send.cname.clone()),
            reduced_size: send.reduced_size,
            ..RtcRtcpParameters::default()
        };
    }
    parameters
}

/// What a receiver takes.
pub(super) fn of_receiver(transceiver: &TransceiverSnapshot) -> RtcRtpReceiveParameters {
    let Some(receive) = &transceiver.receive_parameters else { return RtcRtpReceiveParameters::default() };
    let codecs = receive.codecs.iter().map(|codec| capabilities::negotiated(transceiver.kind, codec));
    RtcRtpReceiveParameters {
        codecs: codecs.collect(),
        header_extensions: capabilities::extensions(&receive.extensions),
        // W3C webrtc-pc §5.3: the cname is left out for receivers.
        rtcp: RtcRtcpParameters { reduced_size: receive.reduced_size, ..RtcRtcpParameters::default() },
    }
}

/// W3C webrtc-pc §5.1, `addTransceiver` steps 7 and 8: checks the encodings and completes them.
pub(super) fn initial(
    kind: MediaKind,
    mut encodings: Vec<RtcRtpEncodingParameters>,
) -> Result<Vec<EncodingParameters>, RtcError> {
    let type_error = |sentence: String| Err(RtcError::TypeError(sentence));
    for (index, encoding) in encodings.iter().enumerate() {
        match &encoding.rid {
            None if encodings.len() > 1 => {
                return type_error("of several encodings each needs a rid".to_owned());
            }
            Some(rid) if !is_rid(rid) => {
                return type_error(format!("{rid:?} is no rid: it has 1 to 16 letters and digits"));
            }
            Some(rid) if encodings[..index].iter().any(|earlier| earlier.rid.as_ref() == Some(rid)) => {
                return type_error(format!("two encodings have the rid {rid}"));
            }
            _ => {}
        }
    }
    check_ranges(kind, &encodings)?;
    // Audio is never simulcast, so that all but one are more than there may be.
    encodings.truncate(if kind == MediaKind::Audio { 1 } else { ENCODINGS_MAX });
    let count = encodings.len();
    let scaled = encodings.iter().any(|encoding| encoding.scale_resolution_down_by.is_some());
    let mut factor = 1.0;
    for encoding in encodings.iter_mut().rev() {
        // The last one is the largest, each before it has half the size, unless the application chose.
        fit_to_kind(kind, encoding, if scaled { 1.0 } else { factor });
        factor *= 2.0;
        if count == 1 {
            encoding.rid = None;
        }
    }
    Ok(encodings.into_iter().map(told).collect())
}

/// W3C webrtc-pc §5.2, `setParameters` steps 6 to 9: what `last` may be changed to.
pub(super) fn check(
    kind: MediaKind,
    last: &RtcRtpSendParameters,
    mut parameters: RtcRtpSendParameters,
) -> Result<Vec<EncodingParameters>, RtcError> {
    let refused = |sentence: &str| Err(RtcError::InvalidModificationError(sentence.to_owned()));
    if parameters.transaction_id != last.transaction_id {
        return refused("these are not the parameters that get_parameters returned last");
    }
    if parameters.encodings.len() != last.encodings.len() {
        return refused("encodings can't be added or removed");
    }
    if parameters.encodings.iter().zip(&last.encodings).any(|(new, old)| new.rid != old.rid) {
        return refused("rids can't be changed, nor the order of encodings");
    }
    if parameters.codecs != last.codecs {
        return refused("codecs are read-only; set_codec_preferences and a negotiation change them");
    }
    if parameters.header_extensions != last.header_extensions || parameters.rtcp != last.rtcp {
        return refused("header extensions and RTCP are read-only");
    }
    check_ranges(kind, &parameters.encodings)?;
    for encoding in &mut parameters.encodings {
        fit_to_kind(kind, encoding, 1.0);
    }
    Ok(parameters.encodings.into_iter().map(told).collect())
}

/// Members that audio does not have are ignored there; video always has a scale.
fn fit_to_kind(kind: MediaKind, encoding: &mut RtcRtpEncodingParameters, scale: f64) {
    match kind {
        MediaKind::Audio => {
            encoding.scale_resolution_down_by = None;
            encoding.max_framerate = None;
        }
        MediaKind::Video => {
            encoding.scale_resolution_down_by.get_or_insert(scale);
        }
    }
}

fn check_ranges(kind: MediaKind, encodings: &[RtcRtpEncodingParameters]) -> Result<(), RtcError> {
    if kind == MediaKind::Audio {
        return Ok(());
    }
    let outside =
        |value: Option<f64>, least: f64| value.is_some_and(|value| !(least..f64::INFINITY).contains(&value));
    for encoding in encodings {
        if outside(encoding.scale_resolution_down_by, 1.0) {
            return Err(RtcError::RangeError("scaleResolutionDownBy is at least 1".to_owned()));
        }
        if outside(encoding.max_framerate, 0.0) {
            return Err(RtcError::RangeError("maxFramerate is at least 0".to_owned()));
        }
    }
    Ok(())
}

fn is_rid(rid: &str) -> bool {
    (1..=RID_LENGTH_MAX).contains(&rid.len()) && rid.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn shown(encoding: &EncodingParameters) -> RtcRtpEncodingParameters {
    let EncodingParameters { priority, network_priority, .. } = *encoding;
    RtcRtpEncodingParameters {
        rid: encoding.rid.map(|rid| rid.as_str().to_owned()),
        active: encoding.active,
        max_bitrate: encoding.max_bitrate,
        max_framerate: encoding.max_framerate,
        scale_resolution_down_by: encoding.scale_resolution_down_by,
        priority,
        network_priority: (network_priority != priority).then_some(network_priority),
    }
}

fn told(encoding: RtcRtpEncodingParameters) -> EncodingParameters {
    EncodingParameters {
        network_priority: encoding.network_priority.unwrap_or(encoding.priority),
        priority: encoding.priority,
        // Checked before: every rid fits.
        rid: encoding.rid.as_deref().and_then(Rid::new),
        active: encoding.active,
        max_bitrate: encoding.max_bitrate,
        max_framerate: encoding.max_framerate,
        scale_resolution_down_by: encoding.scale_resolution_down_by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RtcPriorityType as Priority;

    fn named(rids: &[&str]) -> Vec<RtcRtpEncodingParameters> {
        rids.iter().map(|rid| RtcRtpEncodingParameters::with_rid(*rid)).collect()
    }

    fn scaled(by: f64) -> RtcRtpEncodingParameters {
        RtcRtpEncodingParameters { scale_resolution_down_by: Some(by), ..RtcRtpEncodingParameters::default() }
    }

    fn error_of(encodings: Vec<RtcRtpEncodingParameters>) -> &'static str {
        initial(MediaKind::Video, encodings).unwrap_err().name()
    }

    #[test]
    fn rids_are_needed_well_formed_and_unique() {
        assert_eq!(error_of(vec![RtcRtpEncodingParameters::default(), scaled(1.0)]), "TypeError");
        assert_eq!(error_of(named(&["a", ""])), "TypeError");
        assert_eq!(error_of(named(&["a-b"])), "TypeError");
        assert_eq!(error_of(named(&["aaaaaaaaaaaaaaaaa"])), "TypeError");
        assert_eq!(error_of(named(&["a", "a"])), "TypeError");
        assert!(initial(MediaKind::Video, named(&["a", "B1"])).is_ok());
    }

    #[test]
    fn numbers_outside_of_their_range_are_range_errors_of_video_only() {
        for bad in [0.0, 0.99, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(error_of(vec![scaled(bad)]), "RangeError", "{bad}");
            assert_eq!(
                initial(MediaKind::Audio, vec![scaled(bad)]).unwrap()[0].scale_resolution_down_by,
                None
            );
        }
        let slow = RtcRtpEncodingParameters { max_framerate: Some(-1.0), ..scaled(2.0) };
        assert_eq!(error_of(vec![slow]), "RangeError");
    }

    #[test]
    fn layers_halve_unless_one_is_scaled_by_the_application() {
        let scales = |encodings| -> Vec<_> {
            let encodings = initial(MediaKind::Video, encodings).unwrap();
            encodings.into_iter().map(|encoding| encoding.scale_resolution_down_by.unwrap()).collect()
        };
        assert_eq!(scales(named(&["q", "h", "f"])), [4.0, 2.0, 1.0]);
        let mut chosen = named(&["q", "h", "f"]);
        chosen[0].scale_resolution_down_by = Some(3.0);
        assert_eq!(scales(chosen), [3.0, 1.0, 1.0]);
        assert_eq!(scales(vec![RtcRtpEncodingParameters::default()]), [1.0]);
    }

    #[test]
    fn a_single_encoding_needs_no_rid_and_audio_has_one_encoding() {
        assert_eq!(initial(MediaKind::Video, named(&["a"])).unwrap()[0].rid, None);
        assert_eq!(initial(MediaKind::Audio, named(&["a", "b"])).unwrap().len(), 1);
        let many: Vec<_> = (0..20).map(|i| RtcRtpEncodingParameters::with_rid(format!("r{i}"))).collect();
        assert_eq!(initial(MediaKind::Video, many).unwrap().len(), ENCODINGS_MAX);
    }

    fn last() -> RtcRtpSendParameters {
        RtcRtpSendParameters { encodings: named(&["a", "b"]), ..RtcRtpSendParameters::default() }
            .with_new_transaction()
    }

    #[test]
    fn encodings_can_be_changed() {
        let mut changed = last();
        let last = changed.clone();
        changed.encodings[0].active = false;
        changed.encodings[1].max_bitrate = Some(500_000);
        changed.encodings[1].priority = Priority::High;
        let told = check(MediaKind::Video, &last, changed).unwrap();
        assert!(!told[0].active);
        assert_eq!(told[1].max_bitrate, Some(500_000));
        assert_eq!((told[1].priority, told[1].network_priority), (Priority::High, Priority::High));
    }

    #[test]
    fn what_is_read_only_can_not_be_changed() {
        let changes: [fn(&mut RtcRtpSendParameters); 7] = [
            |parameters| parameters.transaction_id.push('x'),
            |parameters| parameters.encodings.truncate(1),
            |parameters| parameters.encodings.push(RtcRtpEncodingParameters::with_rid("c")),
            |parameters| parameters.encodings.swap(0, 1),
            |parameters| parameters.encodings[0].rid = None,
            |parameters| parameters.codecs.push(super::super::RtcRtpCodecParameters::default()),
            |parameters| parameters.rtcp.cname = Some("other".to_owned()),
        ];
        for change in changes {
            let last = last();
            let mut changed = last.clone();
            change(&mut changed);
            let error = check(MediaKind::Video, &last, changed).unwrap_err();
            assert_eq!(error.name(), "InvalidModificationError");
        }
    }

    #[test]
    fn every_look_has_its_own_transaction() {
        assert_ne!(last().transaction_id, last().transaction_id);
    }
}

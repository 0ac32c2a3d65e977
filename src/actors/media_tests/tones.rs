//! Tones through the actor: who may insert them, and what is told.

use super::*;
use crate::{
    actors::kit::ask,
    messages::rtp::{
        InsertDtmf, ReportTones, SetEncodings, SetSendParameters, SharedTones, StopSender, SwapTrack,
    },
    proto::sender::{DtmfError, EncodingParameters, ToneRequest},
};

async fn insert(sending: &Sending, tones: &str) -> Result<(), DtmfError> {
    let request = ToneRequest::new(tones, Duration::from_millis(100), Duration::from_millis(70))?;
    ask(&sending.actor, InsertDtmf(request), kit::DEFAULT_DEADLINE).await.expect("alive")
}

#[test]
fn tones_are_played_and_told_while_audio_is_withheld() {
    paused(async {
        let (sending, mut source) = (Sending::new(), Source::new(MediaKind::Audio));
        let tones = SharedTones::default();
        let mut changes = tones.changes();
        sending.actor.do_send(ReportTones(tones.clone()));
        sending.actor.do_send(SetSendParameters(Some(Arc::new(send_parameters(MediaKind::Audio)))));
        sending.actor.do_send(SwapTrack(Some(source.track.clone())));
        source.write(None, false).await;
        assert!(tones.can_insert());
        sending.sent().await;
        insert(&sending, "1d").await.expect("can insert");
        pass(10).await;
        assert_eq!(tones.tone_buffer(), "D");
        for _ in 0..5 {
            source.write(None, false).await;
        }
        pass(400).await;
        let sent = sending.sent().await;
        assert_eq!(sent.iter().filter(|sent| sent.payload_type == 110).count(), 14);
        assert_eq!(sent.iter().filter(|sent| sent.payload_type == 111).count(), 0);
        let told: Vec<_> = std::iter::from_fn(|| changes.try_recv().ok()).map(|change| change.tone).collect();
        assert_eq!(told, [Some('1'), Some('D'), None]);
        assert_eq!(tones.tone_buffer(), "");
        source.write(None, false).await;
        assert_eq!(sending.sent().await.len(), 1, "audio goes on");
    });
}

#[test]
fn tones_need_a_track_an_active_encoding_and_a_codec() {
    paused(async {
        let (sending, source) = (Sending::new(), Source::new(MediaKind::Audio));
        let tones = SharedTones::default();
        sending.actor.do_send(ReportTones(tones.clone()));
        assert_eq!(insert(&sending, "1").await, Err(DtmfError::CannotInsert), "nothing is negotiated");
        sending.actor.do_send(SetSendParameters(Some(Arc::new(send_parameters(MediaKind::Audio)))));
        assert_eq!(insert(&sending, "1").await, Err(DtmfError::CannotInsert), "no track");
        sending.actor.do_send(SwapTrack(Some(source.track.clone())));
        assert_eq!(insert(&sending, "").await, Ok(()));
        assert!(tones.can_insert());
        let inactive = EncodingParameters { active: false, ..EncodingParameters::default() };
        sending.actor.do_send(SetEncodings(vec![inactive]));
        assert_eq!(insert(&sending, "1").await, Err(DtmfError::CannotInsert), "inactive");
        sending.actor.do_send(SetEncodings(vec![EncodingParameters::default()]));
        let mut without = send_parameters(MediaKind::Audio);
        without.codecs.retain(|codec| codec.name != "telephone-event");
        sending.actor.do_send(SetSendParameters(Some(Arc::new(without))));
        assert_eq!(insert(&sending, "1").await, Err(DtmfError::CannotInsert), "the peer takes none");
        assert!(!tones.can_insert());
        assert_eq!(insert(&sending, "1x").await, Err(DtmfError::InvalidCharacter('x')));
        sending.actor.do_send(SetSendParameters(Some(Arc::new(send_parameters(MediaKind::Audio)))));
        pass(1).await;
        assert!(tones.can_insert());
        sending.actor.do_send(StopSender);
        pass(1).await;
        assert!(!tones.can_insert());
    });
}

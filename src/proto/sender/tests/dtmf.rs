//! Tests of telephone events (RFC 4733) in virtual time.

use super::*;

const EVENT_TYPE: u8 = 110;
const NARROW_EVENT_TYPE: u8 = 126;

/// A packet of a tone, as the peer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Event {
    at: u64,
    number: u16,
    timestamp: u32,
    marker: bool,
    key: u8,
    end: bool,
    duration: u16,
}

struct Call {
    scene: Scene,
    begin: Instant,
    next_audio: u64,
    events: Vec<Event>,
    audio: Vec<(u64, Seen)>,
    changes: Vec<(u64, Option<char>, String)>,
}

impl Call {
    fn new(event_codecs: &[(u8, u32)]) -> Self {
        let mut scene = Scene::new(MediaKind::Audio);
        let mut parameters = scene.sender.parameters().clone();
        for (payload_type, clock_rate) in event_codecs {
            parameters.codecs.push(codec(*payload_type, "telephone-event", *clock_rate, None));
        }
        scene.sender.set_parameters(parameters);
        let begin = scene.now;
        Self { scene, begin, next_audio: 0, events: Vec::new(), audio: Vec::new(), changes: Vec::new() }
    }

    fn with_wide_events() -> Self {
        Self::new(&[(EVENT_TYPE, 48_000), (NARROW_EVENT_TYPE, 8_000)])
    }

    fn insert(&mut self, tones: &str, duration: u64, gap: u64) {
        let request = ToneRequest::new(tones, Duration::from_millis(duration), Duration::from_millis(gap));
        self.scene.sender.insert_dtmf(self.scene.now, request.expect("legal tones")).expect("can insert");
    }

    fn elapsed(&self) -> u64 {
        (self.scene.now - self.begin).as_millis() as u64
    }

    /// Lets time pass in steps of a millisecond; the track supplies a packet each 20 ms.
    fn run(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            let at = self.elapsed();
            let mut out = Vec::new();
            self.scene.sender.poll_dtmf(self.scene.now, &mut out);
            for packet in &out {
                let seen = self.scene.see(packet);
                assert!(matches!(seen.payload_type, EVENT_TYPE | NARROW_EVENT_TYPE));
                let [key, flags, high, low] = seen.payload[..] else { panic!("{seen:?}") };
                assert_eq!(flags & 0x7f, 10, "volume, and the reserved bit is zero");
                self.events.push(Event {
                    at,
                    number: seen.number,
                    timestamp: seen.timestamp,
                    marker: seen.marker,
                    key,
                    end: flags & 0x80 != 0,
                    duration: u16::from_be_bytes([high, low]),
                });
            }
            while let Some(change) = self.scene.sender.poll_tone_change() {
                self.changes.push((at, change.tone, change.tone_buffer));
            }
            if at.is_multiple_of(20) {
                let packet = audio(self.scene.now, SOURCE, 100 + self.next_audio);
                self.next_audio += 1;
                if let Some(seen) = self.scene.forward(&packet, 1) {
                    self.audio.push((at, seen));
                }
            }
            self.scene.pass(1);
        }
    }

    /// All numbers that left, in the order of leaving.
    fn numbers(&self) -> Vec<u16> {
        let mut all: Vec<(u64, bool, u16)> =
            self.events.iter().map(|event| (event.at, false, event.number)).collect();
        all.extend(self.audio.iter().map(|(at, seen)| (*at, true, seen.number)));
        all.sort_by_key(|(at, is_audio, _)| (*at, *is_audio));
        all.into_iter().map(|(_, _, number)| number).collect()
    }
}

#[test]
fn a_tone_is_updated_each_twenty_milliseconds_and_ended_three_times() {
    let mut call = Call::with_wide_events();
    call.run(100);
    call.insert("5", 100, 70);
    call.run(300);
    let times: Vec<u64> = call.events.iter().map(|event| event.at - 100).collect();
    assert_eq!(times, [20, 40, 60, 80, 100, 120, 140]);
    let durations: Vec<u16> = call.events.iter().map(|event| event.duration).collect();
    assert_eq!(durations, [960, 1920, 2880, 3840, 4800, 4800, 4800], "in units of 48 kHz");
    let ends: Vec<bool> = call.events.iter().map(|event| event.end).collect();
    assert_eq!(ends, [false, false, false, false, true, true, true]);
    let markers: Vec<bool> = call.events.iter().map(|event| event.marker).collect();
    assert_eq!(markers, [true, false, false, false, false, false, false]);
    assert!(call.events.iter().all(|event| event.key == 5));
    assert!(call.events.iter().all(|event| event.timestamp == call.events[0].timestamp), "frozen");
}

#[test]
fn audio_is_withheld_during_a_tone_and_leaves_no_hole_in_the_numbers() {
    let mut call = Call::with_wide_events();
    call.run(100);
    call.insert("1", 100, 200);
    call.run(400);
    let silent = call.audio.iter().filter(|(at, _)| (100..240).contains(at)).count();
    assert_eq!(silent, 0, "from the beginning of the tone to its last end packet");
    assert!(call.audio.iter().any(|(at, _)| (240..300).contains(at)), "and goes on in the gap");
    let numbers = call.numbers();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{numbers:?}");
    assert_eq!(call.scene.sender.statistics().packets_withheld, 7);
}

#[test]
fn timestamps_of_tones_and_audio_are_on_one_line() {
    let mut call = Call::with_wide_events();
    call.run(100);
    call.insert("19", 100, 70);
    call.run(600);
    let (first_at, first) = &call.audio[0];
    let expected = |at: u64| first.timestamp.wrapping_add(((at - first_at) * 48) as u32);
    for (at, seen) in &call.audio {
        let off = seen.timestamp.wrapping_sub(expected(*at)) as i32;
        assert!(off.abs() <= 2, "audio at {at} ms is off by {off}");
    }
    for event in call.events.iter().filter(|event| event.marker) {
        let off = event.timestamp.wrapping_sub(expected(event.at - 20)) as i32;
        assert!(off.abs() <= 48, "a tone begins at {} ms, off by {off}", event.at);
    }
}

#[test]
fn keys_follow_each_other_after_the_gap_and_each_change_is_told() {
    let mut call = Call::with_wide_events();
    call.insert("1A#", 70, 50);
    call.run(600);
    let starts: Vec<(u64, u8)> =
        call.events.iter().filter(|event| event.marker).map(|event| (event.at - 20, event.key)).collect();
    assert_eq!(starts, [(0, 1), (120, 12), (240, 11)]);
    let changes = [
        (0, Some('1'), "A#".to_owned()),
        (120, Some('A'), "#".to_owned()),
        (240, Some('#'), String::new()),
        (360, None, String::new()),
    ];
    assert_eq!(call.changes, changes);
    assert_eq!(call.events.iter().filter(|event| event.end).count(), 9);
}

#[test]
fn every_key_has_its_event_code_and_letters_may_be_small() {
    let mut call = Call::with_wide_events();
    call.insert("0123456789*#ABCDabcd", 40, 30);
    call.run(20 * 70 + 100);
    let codes: Vec<u8> = call.events.iter().filter(|event| event.marker).map(|event| event.key).collect();
    let expected: Vec<u8> = (0..16).chain(12..16).collect();
    assert_eq!(codes, expected);
}

#[test]
fn a_comma_is_a_pause_of_two_seconds_in_which_audio_flows() {
    let mut call = Call::with_wide_events();
    call.insert(",5", 100, 70);
    call.run(2500);
    assert_eq!(call.changes[0], (0, Some(','), "5".to_owned()));
    assert_eq!(call.changes[1], (2000, Some('5'), String::new()));
    assert_eq!(call.events[0].at, 2020);
    assert_eq!(call.audio.iter().filter(|(at, _)| *at < 2000).count(), 100);
}

#[test]
fn tones_inserted_later_replace_those_that_wait_but_not_the_one_that_plays() {
    let mut call = Call::with_wide_events();
    call.insert("123", 100, 70);
    call.run(50);
    call.insert("9", 100, 70);
    assert_eq!(call.scene.sender.tone_buffer(), "9");
    call.run(500);
    let keys: Vec<u8> = call.events.iter().filter(|event| event.marker).map(|event| event.key).collect();
    assert_eq!(keys, [1, 9]);
}

#[test]
fn no_tones_take_back_those_that_wait() {
    let mut call = Call::with_wide_events();
    call.insert("123", 100, 70);
    call.run(50);
    call.insert("", 100, 70);
    call.run(500);
    assert_eq!(call.events.iter().filter(|event| event.marker).count(), 1);
    assert_eq!(call.changes.last(), Some(&(170, None, String::new())));
}

#[test]
fn durations_are_brought_within_their_bounds() {
    let mut call = Call::with_wide_events();
    call.insert("1", 1, 1);
    call.run(300);
    assert_eq!(call.events.last().map(|event| event.duration), Some(40 * 48));
    assert_eq!(call.changes.last(), Some(&(70, None, String::new())), "40 ms and a gap of 30");
    let mut call = Call::with_wide_events();
    call.insert("1", 100_000, 70);
    call.run(7000);
    assert_eq!(call.changes.last(), Some(&(6070, None, String::new())));
}

#[test]
fn a_tone_longer_than_its_field_is_sent_in_segments() {
    let mut call = Call::with_wide_events();
    call.insert("7", 3000, 70);
    call.run(3200);
    let mut total = 0;
    let begin = call.events[0].timestamp;
    for event in &call.events {
        total = event.timestamp.wrapping_sub(begin) + u32::from(event.duration);
    }
    assert_eq!(total, 3000 * 48, "the segments add up");
    let segments: Vec<u32> = {
        let mut seen: Vec<u32> =
            call.events.iter().map(|event| event.timestamp.wrapping_sub(begin)).collect();
        seen.dedup();
        seen
    };
    assert_eq!(segments, [0, 0xffff, 2 * 0xffff], "RFC 4733 §2.5.1.3: each begins where the last one ended");
    let full = call.events.iter().filter(|event| event.duration == 0xffff);
    assert_eq!(full.clone().count(), 6, "the last packet of each full segment three times");
    assert!(full.clone().all(|event| !event.end), "only the event ends");
    assert_eq!(call.events.iter().filter(|event| event.marker).count(), 1);
}

#[test]
fn the_clock_of_the_audio_is_preferred_and_eight_kilohertz_will_do() {
    let mut call = Call::new(&[(NARROW_EVENT_TYPE, 8_000), (EVENT_TYPE, 48_000)]);
    call.run(100);
    call.insert("1", 100, 70);
    call.run(200);
    assert_eq!(call.events.last().map(|event| event.duration), Some(4800));
    let mut call = Call::new(&[(NARROW_EVENT_TYPE, 8_000)]);
    call.run(100);
    call.insert("1", 100, 70);
    call.run(200);
    assert_eq!(call.events.last().map(|event| event.duration), Some(800));
}

#[test]
fn tones_can_be_sent_before_any_audio() {
    let mut call = Call::with_wide_events();
    call.next_audio = 0;
    let request =
        ToneRequest::new("5", Duration::from_millis(100), Duration::from_millis(70)).expect("legal");
    call.scene.sender.insert_dtmf(call.scene.now, request).expect("can insert");
    let mut out = Vec::new();
    for _ in 0..200 {
        call.scene.sender.poll_dtmf(call.scene.now, &mut out);
        call.scene.pass(1);
    }
    assert_eq!(out.len(), 7);
    assert!(call.scene.sender.poll_timeout().is_some(), "and are reported on");
}

#[test]
fn what_is_no_key_is_refused_and_nothing_changes() {
    for (tones, wrong) in [("12E", 'E'), ("1 2", ' '), ("５", '５')] {
        let refused = ToneRequest::new(tones, Duration::from_millis(100), Duration::from_millis(70));
        assert_eq!(refused, Err(DtmfError::InvalidCharacter(wrong)));
    }
    let endless = ToneRequest::new(&"1".repeat(1025), Duration::from_millis(100), Duration::from_millis(70));
    assert_eq!(endless, Err(DtmfError::TooManyTones));
}

#[test]
fn without_the_codec_nothing_can_be_inserted() {
    let mut call = Call::new(&[]);
    assert!(!call.scene.sender.can_insert_dtmf());
    let request =
        ToneRequest::new("1", Duration::from_millis(100), Duration::from_millis(70)).expect("legal");
    assert_eq!(call.scene.sender.insert_dtmf(call.scene.now, request), Err(DtmfError::CannotInsert));
    let mut video = Scene::new(MediaKind::Video);
    let mut parameters = video.sender.parameters().clone();
    parameters.codecs.push(codec(EVENT_TYPE, "telephone-event", 8_000, None));
    video.sender.set_parameters(parameters);
    assert!(!video.sender.can_insert_dtmf());
}

#[test]
fn a_codec_that_is_negotiated_away_ends_the_playing() {
    let mut call = Call::with_wide_events();
    call.insert("123", 100, 70);
    call.run(50);
    let mut parameters = call.scene.sender.parameters().clone();
    parameters.codecs.retain(|codec| codec.name != "telephone-event");
    call.scene.sender.set_parameters(parameters);
    call.run(1000);
    assert_eq!(call.events.iter().filter(|event| event.marker).count(), 1);
    assert_eq!(call.changes.last(), Some(&(170, None, String::new())));
}

#[test]
fn a_late_timer_sends_what_is_due_once() {
    let mut call = Call::with_wide_events();
    call.insert("5", 100, 70);
    call.run(1);
    call.scene.pass(400);
    call.run(100);
    assert!(call.events.iter().all(|event| event.duration == 4800 && event.end), "{:?}", call.events);
    assert_eq!(call.events.len(), 3);
}

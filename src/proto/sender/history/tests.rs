//! Tests of the history.

use super::super::tests::packet_numbered;
use super::*;

fn shift(sequence: u64) -> Shift {
    Shift { sequence, timestamp: 0, counters: Shifts::default() }
}

/// A lot of packets with these numbers, to be sent 100,000 higher.
fn lot(now: Instant, numbers: impl Iterator<Item = u64>) -> Arc<MediaLot> {
    let packets = numbers.map(|number| packet_numbered(now, number)).collect();
    Arc::new(MediaLot::new(packets, false))
}

fn send(history: &mut History, now: Instant, lot: &Arc<MediaLot>) {
    for (index, packet) in lot.packets.iter().enumerate() {
        history.insert(packet.sequence_number + 100_000, now, 0, lot, index, shift(100_000));
    }
}

fn holds(history: &History, now: Instant, sequence: u64) -> bool {
    let found = history.find(sequence, now, Duration::ZERO);
    found.is_some_and(|origin| {
        let packet = &origin.lot.packets[origin.index];
        assert_eq!(packet.sequence_number + origin.shift.sequence, sequence, "another packet");
        true
    })
}

#[test]
fn a_slow_stream_stays_small_and_a_fast_one_keeps_a_second() {
    let now = Instant::now();
    // In lots of one packet and of ten.
    for (lot_size, milliseconds, slots, kept) in [
        (1, 40, 32, 26),
        (1, 5, 256, 201),
        (1, 1, 1024, 1001),
        (1, 0, 1024, 1024),
        (10, 40, 256, 256),
        (10, 10, 1024, 1010),
    ] {
        let mut history = History::new(MediaKind::Video, now);
        let mut at = now;
        for first in (0..4_000).step_by(lot_size) {
            at += Duration::from_millis(milliseconds);
            send(&mut history, at, &lot(now, first..first + lot_size as u64));
        }
        assert_eq!(history.slots.len(), slots, "{lot_size} every {milliseconds} ms");
        let found = (100_000..104_000).filter(|sequence| holds(&history, at, *sequence)).count();
        assert!(found >= kept.min(slots) - lot_size, "{found} kept: {lot_size} every {milliseconds} ms");
        assert!(holds(&history, at, 103_999));
    }
}

#[test]
fn an_overwritten_packet_is_not_mistaken_for_another() {
    let now = Instant::now();
    let mut history = History::new(MediaKind::Audio, now);
    assert!(!holds(&history, now, 5));
    for number in 0..1000 {
        send(&mut history, now, &lot(now, number..number + 1));
    }
    assert!(holds(&history, now, 100_999));
    assert!(!holds(&history, now, 100_999 - 128));
    assert!(!holds(&history, now, 100_999 + 128));
}

#[test]
fn each_packet_keeps_the_shift_it_was_sent_with() {
    let mut now = Instant::now();
    let mut history = History::new(MediaKind::Video, now);
    let mut sent = Vec::new();
    for number in 0..3_000 {
        now += Duration::from_millis(2);
        // Another shift at every third lot, and once within one.
        let lot = lot(now, number * 2..number * 2 + 2);
        for index in 0..2 {
            let hops = number / 3 + u64::from(number == 2_900 && index == 1);
            let sequence = lot.packets[index].sequence_number + hops * 10;
            history.insert(sequence, now, number as u32, &lot, index, shift(hops * 10));
            sent.push((sequence, number));
        }
    }
    assert!(history.shifts.len() < 400, "{} shifts", history.shifts.len());
    // Sixteen numbers for six packets: the slots hold 384.
    let found = sent.iter().rev().take(300).map(|(sequence, number)| {
        let origin = history.find(*sequence, now, Duration::ZERO).expect("young enough");
        let packet = &origin.lot.packets[origin.index];
        assert_eq!(packet.sequence_number + origin.shift.sequence, *sequence);
        assert_eq!(u64::from(origin.send_time), *number);
    });
    assert_eq!(found.count(), 300);
}

#[test]
fn a_packet_costs_a_dozen_bytes_and_a_lot_sixteen() {
    assert!(size_of::<Slot>() <= 12, "{}", size_of::<Slot>());
    assert!(size_of::<SentLot>() <= 16, "{}", size_of::<SentLot>());
}

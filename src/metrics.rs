//! Prometheus export (feature `metrics`).
//!
//! [`Collector`] reads the shards' counters when it is asked, and sends no message: a wedged actor can't hold up a
//! scrape, and shows as an old `actix_rtc_shard_progress_age_seconds`. All series are per shard and label, never per
//! peer, so their number does not grow with the number of peers. Series of things that a shard has never had (a kind
//! of actor, a kind of lane) are left out until it has.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prometheus::{
    Registry, TextEncoder,
    core::{self, Desc},
    proto,
};

use crate::proto::demux::PacketKind;

use crate::actors::kit::{
    ActorKind, ActorStatistics, ConnectionLabel, Counter, DURATION_BOUNDS, Direction, DropReason, DtlsLabel,
    Gauge, Histogram, IceLabel, KernelFeature, Label, LaneKind, LaneStatistics, MailboxTotals, ShardLabel,
    ShardStatistics, all_statistics, kernel_feature, lane_depth, mailbox_totals, now,
};

/// Registers a [`Collector`]. Fails if the registry has one already.
pub fn register(registry: &Registry) -> prometheus::Result<()> {
    registry.register(Box::new(Collector::new()?))
}

/// Everything in a registry, in the text format that Prometheus scrapes (`text/plain; version=0.0.4`).
pub fn encode_text(registry: &Registry) -> String {
    let mut text = String::new();
    if let Err(error) = TextEncoder::new().encode_utf8(&registry.gather(), &mut text) {
        tracing::error!(%error, "metrics can't be encoded");
    }
    text
}

/// Reads the statistics of all shards.
#[derive(Debug)]
pub struct Collector {
    descriptions: Vec<Desc>,
}

impl Collector {
    /// A collector of everything that this process counts.
    pub fn new() -> prometheus::Result<Self> {
        let describe = |metric: &Metric| {
            let labels = metric.labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, Default::default())
        };
        Ok(Self { descriptions: METRICS.iter().map(describe).collect::<prometheus::Result<_>>()? })
    }
}

impl core::Collector for Collector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let shards = all_statistics();
        METRICS.iter().map(|metric| metric.collect(&shards)).collect()
    }
}

/// One metric: what it is, and how its series are read.
struct Metric {
    name: &'static str,
    help: &'static str,
    kind: proto::MetricType,
    labels: &'static [&'static str],
    source: Source,
}

enum Source {
    /// Called for each thread that counts; series of equal labels are added up.
    Shard(fn(&ShardStatistics, &mut Series)),
    /// Counted for the whole process.
    Process(fn(&[Arc<ShardStatistics>], &mut Series)),
}

/// The label of the shard, if the metric has it, then the others.
type Labels = (Option<ShardLabel>, Vec<&'static str>);

/// The series of one metric.
#[derive(Default)]
struct Series {
    shard: Option<ShardLabel>,
    values: BTreeMap<Labels, Value>,
}

enum Value {
    Number(f64),
    Durations { cumulative: [u64; DURATION_BOUNDS.len() + 1], sum: Duration },
}

impl Series {
    fn number(&mut self, labels: &[&'static str], number: f64) {
        if let Value::Number(total) = self.entry(labels, || Value::Number(0.0)) {
            *total += number;
        }
    }

    /// Of several threads with the same label, the largest.
    fn maximum(&mut self, labels: &[&'static str], number: f64) {
        if let Value::Number(largest) = self.entry(labels, || Value::Number(number)) {
            *largest = largest.max(number);
        }
    }

    fn counter(&mut self, labels: &[&'static str], counter: &Counter) {
        self.number(labels, counter.get() as f64);
    }

    fn histogram(&mut self, labels: &[&'static str], histogram: &Histogram) {
        let zero = || Value::Durations { cumulative: Default::default(), sum: Duration::ZERO };
        if let Value::Durations { cumulative, sum } = self.entry(labels, zero) {
            for (total, count) in cumulative.iter_mut().zip(histogram.cumulative()) {
                *total += count;
            }
            *sum += histogram.sum();
        }
    }

    fn entry(&mut self, labels: &[&'static str], zero: impl FnOnce() -> Value) -> &mut Value {
        self.values.entry((self.shard, labels.to_vec())).or_insert_with(zero)
    }
}

impl Metric {
    fn collect(&self, shards: &[Arc<ShardStatistics>]) -> proto::MetricFamily {
        let mut series = Series::default();
        match self.source {
            Source::Process(read) => read(shards, &mut series),
            Source::Shard(read) => {
                for shard in shards {
                    series.shard = Some(shard.label());
                    read(shard, &mut series);
                }
            }
        }
        let mut family = proto::MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(
            series.values.into_iter().map(|(labels, value)| self.sample(labels, &value)).collect(),
        );
        family
    }

    fn sample(&self, (shard, others): Labels, value: &Value) -> proto::Metric {
        let values =
            shard.map(|shard| shard.to_string()).into_iter().chain(others.into_iter().map(str::to_owned));
        let pair = |(name, value): (&&'static str, String)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value);
            pair
        };
        let mut sample = proto::Metric::from_label(self.labels.iter().zip(values).map(pair).collect());
        match value {
            Value::Number(number) if self.kind == proto::MetricType::COUNTER => {
                let mut counter = proto::Counter::default();
                counter.set_value(*number);
                sample.set_counter(counter);
            }
            Value::Number(number) => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(*number);
                sample.set_gauge(gauge);
            }
            Value::Durations { cumulative, sum } => sample.set_histogram(durations(cumulative, *sum)),
        }
        sample
    }
}

fn durations(cumulative: &[u64; DURATION_BOUNDS.len() + 1], sum: Duration) -> proto::Histogram {
    let bucket = |(bound, count): (&Duration, &u64)| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(bound.as_secs_f64());
        bucket.set_cumulative_count(*count);
        bucket
    };
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(DURATION_BOUNDS.iter().zip(cumulative).map(bucket).collect());
    histogram.set_sample_count(cumulative[DURATION_BOUNDS.len()]);
    histogram.set_sample_sum(sum.as_secs_f64());
    histogram
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    source: Source,
    help: &'static str,
) -> Metric {
    Metric { name, help, kind: proto::MetricType::COUNTER, labels, source }
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    source: Source,
    help: &'static str,
) -> Metric {
    Metric { name, help, kind: proto::MetricType::GAUGE, labels, source }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    source: Source,
    help: &'static str,
) -> Metric {
    Metric { name, help, kind: proto::MetricType::HISTOGRAM, labels, source }
}

const ACTOR: &[&str] = &["shard", "actor"];
const LANE: &[&str] = &["shard", "lane"];
const TRAFFIC: &[&str] = &["shard", "direction", "kind"];
const DIRECTION: &[&str] = &["shard", "direction"];
const STATE: &[&str] = &["shard", "state"];

static METRICS: &[Metric] = &[
    // Actors.
    gauge(
        "actix_rtc_actors",
        ACTOR,
        Source::Shard(|shard, series| {
            actors(shard, |kind, actor| {
                series.number(&[kind], actor.started.get() as f64 - actor.stopped.get() as f64);
            });
        }),
        "Actors that are alive.",
    ),
    counter(
        "actix_rtc_actors_started_total",
        ACTOR,
        Source::Shard(|shard, series| actors(shard, |kind, actor| series.counter(&[kind], &actor.started))),
        "Actors started.",
    ),
    counter(
        "actix_rtc_actors_stopped_total",
        ACTOR,
        Source::Shard(|shard, series| actors(shard, |kind, actor| series.counter(&[kind], &actor.stopped))),
        "Actors that ended, for whatever reason.",
    ),
    counter(
        "actix_rtc_actor_panics_total",
        ACTOR,
        Source::Shard(|shard, series| actors(shard, |kind, actor| series.counter(&[kind], &actor.panics))),
        "Panics of actors that were contained.",
    ),
    counter(
        "actix_rtc_actor_restarts_total",
        ACTOR,
        Source::Shard(|shard, series| actors(shard, |kind, actor| series.counter(&[kind], &actor.restarts))),
        "Restarts of actors after a panic.",
    ),
    counter(
        "actix_rtc_actor_yields_total",
        ACTOR,
        Source::Shard(|shard, series| actors(shard, |kind, actor| series.counter(&[kind], &actor.yields))),
        "Wake-ups that ended because the actor had handled a full batch of messages.",
    ),
    counter(
        "actix_rtc_actor_polls_total",
        ACTOR,
        Source::Shard(|shard, series| actors(shard, |kind, actor| series.counter(&[kind], &actor.polls))),
        "Turns of actors: wake-ups, and what they do with packets between them.",
    ),
    counter(
        "actix_rtc_actor_busy_seconds_total",
        ACTOR,
        Source::Shard(|shard, series| {
            actors(shard, |kind, actor| series.number(&[kind], actor.busy().as_secs_f64()));
        }),
        "Time actors kept their shard busy, estimated from the wake-ups that are timed.",
    ),
    histogram(
        "actix_rtc_actor_poll_seconds",
        ACTOR,
        Source::Shard(|shard, series| {
            actors(shard, |kind, actor| series.histogram(&[kind], &actor.poll_time))
        }),
        "Time actors kept their shard busy, for one in 16 wake-ups.",
    ),
    // Mailboxes.
    histogram(
        "actix_rtc_mailbox_wait_seconds",
        ACTOR,
        Source::Shard(|shard, series| {
            actors(shard, |kind, actor| series.histogram(&[kind], &actor.mailbox_wait))
        }),
        "Time messages waited in a mailbox before they were handled.",
    ),
    counter(
        "actix_rtc_mailbox_messages_total",
        &["actor"],
        Source::Process(|_, series| mailboxes(series, |totals| totals.sent)),
        "Messages sent to mailboxes, open or closed.",
    ),
    gauge(
        "actix_rtc_mailbox_depth",
        &["actor"],
        Source::Process(mailbox_depths),
        "Messages that wait in mailboxes.",
    ),
    counter(
        "actix_rtc_dead_letters_total",
        &["actor"],
        Source::Process(|_, series| mailboxes(series, |totals| totals.dead_letters)),
        "Messages dropped unhandled: the actor had ended, or the asker had given up.",
    ),
    // Lanes.
    gauge(
        "actix_rtc_lane_depth",
        &["lane"],
        Source::Process(|_, series| {
            for kind in LaneKind::ALL {
                series.number(&[kind.as_str()], lane_depth(*kind) as f64);
            }
        }),
        "Packets that wait in lanes.",
    ),
    counter(
        "actix_rtc_lane_packets_pushed_total",
        LANE,
        Source::Shard(|shard, series| lanes(shard, |kind, lane| series.counter(&[kind], &lane.pushed))),
        "Packets offered to lanes.",
    ),
    counter(
        "actix_rtc_lane_packets_taken_total",
        LANE,
        Source::Shard(|shard, series| lanes(shard, |kind, lane| series.counter(&[kind], &lane.taken))),
        "Packets that lanes handed to their actor.",
    ),
    counter(
        "actix_rtc_lane_packets_dropped_total",
        &["shard", "lane", "reason"],
        Source::Shard(|shard, series| {
            lanes(shard, |kind, lane| {
                series.counter(&[kind, "full"], &lane.dropped_full);
                series.counter(&[kind, "age"], &lane.dropped_age);
            });
        }),
        "Packets dropped from lanes, oldest first, because the lane was full or they were too old.",
    ),
    histogram(
        "actix_rtc_lane_wait_seconds",
        LANE,
        Source::Shard(|shard, series| lanes(shard, |kind, lane| series.histogram(&[kind], &lane.wait))),
        "Time that what lanes handed over had waited, per item.",
    ),
    // Packets.
    counter(
        "actix_rtc_datagrams_total",
        TRAFFIC,
        Source::Shard(|shard, series| {
            for kind in <PacketKind as Label>::ALL {
                series.counter(&["in", kind.label()], &shard.traffic_in[*kind].packets);
                series.counter(&["out", kind.label()], &shard.traffic_out[*kind].packets);
            }
        }),
        "Datagrams received from and handed to the network.",
    ),
    counter(
        "actix_rtc_datagram_bytes_total",
        TRAFFIC,
        Source::Shard(|shard, series| {
            for kind in <PacketKind as Label>::ALL {
                series.counter(&["in", kind.label()], &shard.traffic_in[*kind].bytes);
                series.counter(&["out", kind.label()], &shard.traffic_out[*kind].bytes);
            }
        }),
        "Payload bytes of the datagrams received from and handed to the network.",
    ),
    counter(
        "actix_rtc_packets_dropped_total",
        &["shard", "reason"],
        Source::Shard(|shard, series| {
            for reason in DropReason::ALL {
                series.counter(&[reason.as_str()], &shard.drops[*reason]);
            }
        }),
        "Packets that went no further.",
    ),
    counter(
        "actix_rtc_lots_total",
        DIRECTION,
        Source::Shard(|shard, series| {
            directions(|way| series.counter(&[way.as_str()], &shard.lots[way].batches))
        }),
        "Lots of packets handed from actor to actor.",
    ),
    counter(
        "actix_rtc_lot_packets_total",
        DIRECTION,
        Source::Shard(|shard, series| {
            directions(|way| series.counter(&[way.as_str()], &shard.lots[way].packets))
        }),
        "Packets in the lots handed from actor to actor.",
    ),
    counter(
        "actix_rtc_socket_calls_total",
        DIRECTION,
        Source::Shard(|shard, series| {
            directions(|way| series.counter(&[way.as_str()], &shard.calls[way].batches))
        }),
        "Calls into the kernel that moved datagrams.",
    ),
    counter(
        "actix_rtc_socket_call_datagrams_total",
        DIRECTION,
        Source::Shard(|shard, series| {
            directions(|way| series.counter(&[way.as_str()], &shard.calls[way].packets))
        }),
        "Datagrams moved by the calls into the kernel.",
    ),
    counter(
        "actix_rtc_data_reader_stalls_total",
        &["shard"],
        Source::Shard(|shard, series| series.counter(&[], &shard.reader_stalls)),
        "Times that an SCTP association stopped its peer because messages of a channel were not read.",
    ),
    // What exists now.
    gauge(
        "actix_rtc_peers",
        &["shard"],
        Source::Shard(|s, series| level(s, series, Gauge::Peers)),
        "Open peers.",
    ),
    gauge(
        "actix_rtc_rooms",
        &["shard"],
        Source::Shard(|s, series| level(s, series, Gauge::Rooms)),
        "Open rooms.",
    ),
    gauge(
        "actix_rtc_data_channels",
        &["shard"],
        Source::Shard(|s, series| level(s, series, Gauge::DataChannels)),
        "Data channels that are not closed.",
    ),
    gauge(
        "actix_rtc_ice_transports",
        STATE,
        Source::Shard(|shard, series| {
            for state in IceLabel::ALL {
                state_level(shard, series, state.as_str(), Gauge::IceState(*state));
            }
        }),
        "ICE transports by state.",
    ),
    gauge(
        "actix_rtc_dtls_transports",
        STATE,
        Source::Shard(|shard, series| {
            for state in DtlsLabel::ALL {
                state_level(shard, series, state.as_str(), Gauge::DtlsState(*state));
            }
        }),
        "DTLS transports by state.",
    ),
    gauge(
        "actix_rtc_peer_connections",
        STATE,
        Source::Shard(|shard, series| {
            for state in ConnectionLabel::ALL {
                state_level(shard, series, state.as_str(), Gauge::ConnectionState(*state));
            }
        }),
        "Peer connections by state.",
    ),
    // Shards.
    gauge(
        "actix_rtc_shard_busy_ratio",
        &["shard"],
        Source::Shard(|shard, series| {
            if shard.progress_age(now()).is_some() {
                series.number(&[], shard.busy_share());
            }
        }),
        "Share of the last seconds that the shard's thread spent on a core.",
    ),
    counter(
        "actix_rtc_relays_refused_total",
        &["shard"],
        Source::Shard(|shard, series| series.counter(&[], &shard.relays_refused)),
        "Senders that take a track of another shard by themselves, because there were too many relays.",
    ),
    gauge(
        "actix_rtc_kernel_feature",
        &["feature"],
        Source::Process(|_, series| {
            for feature in KernelFeature::ALL {
                if let Some(is_given) = kernel_feature(*feature) {
                    series.number(&[feature.as_str()], if is_given { 1.0 } else { 0.0 });
                }
            }
        }),
        "Whether the kernel gives what was asked of it (1) or has refused (0).",
    ),
    gauge(
        "actix_rtc_shard_progress_age_seconds",
        &["shard"],
        Source::Shard(|shard, series| {
            if let Some(age) = shard.progress_age(now()) {
                series.maximum(&[], age.as_secs_f64());
            }
        }),
        "Time since the shard last showed that it runs; more than a second means that it is wedged.",
    ),
    histogram(
        "actix_rtc_shard_lag_seconds",
        &["shard"],
        Source::Shard(|shard, series| {
            if shard.progress_age(now()).is_some() || shard.lag.count() > 0 {
                series.histogram(&[], &shard.lag);
            }
        }),
        "How late the shard's heartbeat was: what each of its timers suffers.",
    ),
];

/// Visits the kinds of actor that the shard has had.
fn actors(shard: &ShardStatistics, mut visit: impl FnMut(&'static str, &ActorStatistics)) {
    for (kind, actor) in shard.actors.iter().filter(|(_, actor)| actor.started.get() > 0) {
        visit(ActorKind::as_str(kind), actor);
    }
}

/// Visits the kinds of lane that the shard has had.
fn lanes(shard: &ShardStatistics, mut visit: impl FnMut(&'static str, &LaneStatistics)) {
    for (kind, lane) in shard.lanes.iter().filter(|(_, lane)| lane.pushed.get() > 0) {
        visit(LaneKind::as_str(kind), lane);
    }
}

fn directions(mut visit: impl FnMut(Direction)) {
    for direction in Direction::ALL {
        visit(*direction);
    }
}

fn mailboxes(series: &mut Series, read: impl Fn(MailboxTotals) -> u64) {
    for kind in ActorKind::ALL {
        series.number(&[kind.label()], read(mailbox_totals(Some(*kind))) as f64);
    }
    series.number(&["unknown"], read(mailbox_totals(None)) as f64);
}

/// What was sent and neither handled nor lost. The numbers are not read at one instant: never below zero.
fn mailbox_depths(shards: &[Arc<ShardStatistics>], series: &mut Series) {
    for kind in ActorKind::ALL {
        let handled: u64 = shards.iter().map(|shard| shard.actors[*kind].mailbox_wait.count()).sum();
        let totals = mailbox_totals(Some(*kind));
        series.number(&[kind.as_str()], totals.sent.saturating_sub(handled + totals.dead_letters) as f64);
    }
}

fn level(shard: &ShardStatistics, series: &mut Series, gauge: Gauge) {
    series.number(&[], shard.gauge(gauge) as f64);
}

fn state_level(shard: &ShardStatistics, series: &mut Series, state: &'static str, gauge: Gauge) {
    series.number(&[state], shard.gauge(gauge) as f64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::kit::statistics;

    #[test]
    fn a_scrape_shows_what_was_counted() {
        let registry = Registry::new();
        register(&registry).unwrap();
        statistics().drop(DropReason::SrtpReplay, 3);
        statistics().packets_in(PacketKind::Rtp, 5, 6000);
        let text = encode_text(&registry);
        let value = |series: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(series)).expect("series is exported");
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        // Other tests run in this process, on threads of the same label.
        assert!(value(r#"actix_rtc_packets_dropped_total{shard="other",reason="srtp_replay"}"#) >= 3.0);
        assert!(
            value(r#"actix_rtc_datagram_bytes_total{shard="other",direction="in",kind="rtp"}"#) >= 6000.0
        );
    }

    #[test]
    fn totals_survive_the_thread_that_counted() {
        let registry = Registry::new();
        register(&registry).unwrap();
        let read =
            || -> u64 { all_statistics().iter().map(|shard| shard.drops[DropReason::NoCodec].get()).sum() };
        let before = read();
        std::thread::spawn(|| statistics().drop(DropReason::NoCodec, 7)).join().unwrap();
        assert!(read() >= before + 7);
    }

    #[test]
    fn a_registry_takes_one_collector() {
        let registry = Registry::new();
        register(&registry).unwrap();
        assert!(register(&registry).is_err());
    }

    #[test]
    fn every_metric_has_a_conventional_name() {
        for metric in METRICS {
            assert!(metric.name.starts_with("actix_rtc_"), "{}", metric.name);
            let is_counter = metric.kind == proto::MetricType::COUNTER;
            assert_eq!(metric.name.ends_with("_total"), is_counter, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}

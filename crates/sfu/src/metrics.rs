//! `GET /metrics`: what the library counts, and what only the server knows.

use actix_web::{HttpResponse, web::Data};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::{app::App, problem::Code};

/// What Prometheus asks for.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The server's own figures. No label takes a value that a client chooses.
pub(crate) struct Metrics {
    registry: Registry,
    websockets: IntGauge,
    http_sessions: IntGaugeVec,
    offers: IntCounterVec,
    problems: IntCounterVec,
    data: DataMetrics,
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        actix_rtc::metrics::register(&registry)?;
        let websockets = IntGauge::new("actix_rtc_sfu_websockets", "WebSockets that are open.")?;
        let http_sessions = IntGaugeVec::new(
            Opts::new("actix_rtc_sfu_http_sessions", "WHIP and WHEP sessions that exist."),
            &["protocol"],
        )?;
        let offers = IntCounterVec::new(
            Opts::new("actix_rtc_sfu_offers_total", "SDP offers of clients, by what became of them."),
            &["result"],
        )?;
        let problems = IntCounterVec::new(
            Opts::new("actix_rtc_sfu_problems_total", "Problems that clients were told of, by code."),
            &["code"],
        )?;
        registry.register(Box::new(websockets.clone()))?;
        registry.register(Box::new(http_sessions.clone()))?;
        registry.register(Box::new(offers.clone()))?;
        registry.register(Box::new(problems.clone()))?;
        let data = DataMetrics::new()?;
        data.register(&registry)?;
        // Series that exist from the start can be watched from the start.
        for protocol in ["whip", "whep"] {
            http_sessions.with_label_values(&[protocol]).set(0);
        }
        for result in ["answered", "refused"] {
            offers.with_label_values(&[result]).reset();
        }
        Ok(Self { registry, websockets, http_sessions, offers, problems, data })
    }

    pub(crate) fn websocket(&self) -> Counted {
        Counted::new(self.websockets.clone())
    }

    pub(crate) fn http_session(&self, protocol: &'static str) -> Counted {
        Counted::new(self.http_sessions.with_label_values(&[protocol]))
    }

    pub(crate) fn offer(&self, answered: bool) {
        let result = if answered { "answered" } else { "refused" };
        self.offers.with_label_values(&[result]).inc();
    }

    /// The figures of data channels, for those who count them.
    pub(crate) fn data(&self) -> &DataMetrics {
        &self.data
    }

    pub(crate) fn problem(&self, code: Code) {
        self.problems.with_label_values(&[code.as_str()]).inc();
    }
}

/// Why a message of a data channel did not go to a recipient.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DataDrop {
    /// The queue of a lossy channel is full.
    NoRoom,
    /// The recipient takes no messages of this size.
    TooLarge,
    /// The recipient's channel is closing.
    Closed,
}

/// What is counted of data channels. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct DataMetrics {
    channels: IntGauge,
    messages: IntCounterVec,
    bytes: IntCounterVec,
    received: [IntCounter; 2],
    sent: [IntCounter; 2],
    refused: IntCounterVec,
    dropped: IntCounterVec,
    slow: IntCounter,
}

impl DataMetrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let counters =
            |name: &str, help: &str, label: &str| IntCounterVec::new(Opts::new(name, help), &[label]);
        let messages = counters(
            "actix_rtc_sfu_data_messages_total",
            "Messages of data channels: in, from clients; out, to clients.",
            "direction",
        )?;
        let bytes = counters("actix_rtc_sfu_data_bytes_total", "Bytes of these messages.", "direction")?;
        let of =
            |direction| [messages.with_label_values(&[direction]), bytes.with_label_values(&[direction])];
        let dropped = counters(
            "actix_rtc_sfu_data_dropped_total",
            "Messages of data channels that did not go to a recipient, by reason.",
            "reason",
        )?;
        for reason in [DataDrop::NoRoom, DataDrop::TooLarge, DataDrop::Closed] {
            dropped.with_label_values(&[reason.as_str()]).reset();
        }
        let refused = counters(
            "actix_rtc_sfu_data_refused_total",
            "Messages and data channels of clients that were refused, by code.",
            "code",
        )?;
        for code in [Code::RateLimited, Code::TooLarge, Code::TooManyChannels] {
            refused.with_label_values(&[code.as_str()]).reset();
        }
        Ok(Self {
            channels: IntGauge::new(
                "actix_rtc_sfu_data_channels",
                "Data channels of participants that are open.",
            )?,
            received: of("in"),
            sent: of("out"),
            messages,
            bytes,
            refused,
            dropped,
            slow: IntCounter::new(
                "actix_rtc_sfu_data_slow_channels_total",
                "Reliable data channels that were closed because their client took its messages too slowly.",
            )?,
        })
    }

    fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.channels.clone()))?;
        registry.register(Box::new(self.slow.clone()))?;
        for counters in [&self.messages, &self.bytes, &self.refused, &self.dropped] {
            registry.register(Box::new(counters.clone()))?;
        }
        Ok(())
    }

    pub(crate) fn channel(&self) -> Counted {
        Counted::new(self.channels.clone())
    }

    pub(crate) fn received(&self, bytes: usize) {
        let [messages, total] = &self.received;
        messages.inc();
        total.inc_by(bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        let [messages, total] = &self.sent;
        messages.inc();
        total.inc_by(bytes as u64);
    }

    pub(crate) fn refused(&self, code: Code) {
        self.refused.with_label_values(&[code.as_str()]).inc();
    }

    pub(crate) fn dropped(&self, reason: DataDrop) {
        self.dropped.with_label_values(&[reason.as_str()]).inc();
    }

    pub(crate) fn slow_channel_closed(&self) {
        self.slow.inc();
    }
}

impl DataDrop {
    const fn as_str(self) -> &'static str {
        match self {
            Self::NoRoom => "no_room",
            Self::TooLarge => "too_large",
            Self::Closed => "closed",
        }
    }
}

/// One thing that exists until this is dropped.
pub(crate) struct Counted(IntGauge);

impl Counted {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// `GET /metrics`.
pub(crate) async fn scrape(app: Data<App>) -> HttpResponse {
    let text = actix_rtc::metrics::encode_text(&app.metrics.registry);
    HttpResponse::Ok().content_type(CONTENT_TYPE).body(text)
}

//! `GET /metrics`: what the library counts, and what only the server knows.

use actix_web::{HttpResponse, web::Data};
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

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
        // Series that exist from the start can be watched from the start.
        for protocol in ["whip", "whep"] {
            http_sessions.with_label_values(&[protocol]).set(0);
        }
        for result in ["answered", "refused"] {
            offers.with_label_values(&[result]).reset();
        }
        Ok(Self { registry, websockets, http_sessions, offers, problems })
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

    pub(crate) fn problem(&self, code: Code) {
        self.problems.with_label_values(&[code.as_str()]).inc();
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

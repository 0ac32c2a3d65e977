//! Prometheus export (feature `metrics`).

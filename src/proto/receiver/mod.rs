//! What arrives on one media section: loss, NACK, jitter, reports, key frame requests.

//! What leaves on one media section: continuity, history, RTX, reports.

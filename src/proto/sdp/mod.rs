//! Session descriptions: parser and writer (RFC 8866).

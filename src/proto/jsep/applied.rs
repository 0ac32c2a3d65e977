//! A description that was applied, as it is shown: its text, and the lines that came later.
//!
//! Both are shared by the session and by whoever shows them, so that the text as a whole exists only while somebody
//! looks at it. Most of them never are looked at again.

use super::types::{Description, SdpType};
use std::sync::Arc;

/// A description in force, put together when it is asked for. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedDescription {
    pub(super) kind: SdpType,
    /// As created or received.
    pub(super) text: Arc<str>,
    /// Attributes that came later, each with the index of its section.
    later: Arc<Vec<(usize, Arc<str>)>>,
}

impl AppliedDescription {
    pub(super) fn new(kind: SdpType, text: Arc<str>) -> Self {
        Self { kind, text, later: Arc::default() }
    }

    /// The text as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// An attribute for the end of a section.
    pub(super) fn append(&mut self, section: usize, attribute: Arc<str>) {
        Arc::make_mut(&mut self.later).push((section, attribute));
    }

    /// Nothing more comes: no room is kept for it.
    pub(super) fn finish(&mut self) {
        Arc::make_mut(&mut self.later).shrink_to_fit();
    }

    /// The text with the candidates that came later at the end of their sections.
    pub fn description(&self) -> Description {
        if self.later.is_empty() {
            return Description { kind: self.kind, sdp: self.text.as_ref().to_owned() };
        }
        let mut sdp = String::with_capacity(self.text.len() + 128 * self.later.len());
        let mut next_section = 0;
        for line in self.text.lines() {
            if line.starts_with("m=") {
                self.write_later(&mut sdp, next_section);
                next_section += 1;
            }
            if !line.is_empty() {
                sdp.push_str(line);
                sdp.push_str("\r\n");
            }
        }
        self.write_later(&mut sdp, next_section);
        Description { kind: self.kind, sdp }
    }

    /// Lines of the section that ends before section `next`.
    fn write_later(&self, sdp: &mut String, next: usize) {
        for (_, line) in self.later.iter().filter(|(section, _)| section + 1 == next) {
            sdp.push_str("a=");
            sdp.push_str(line);
            sdp.push_str("\r\n");
        }
    }
}

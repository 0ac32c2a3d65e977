//! What the kernel gives, and what it refuses: each feature is tried where it is used and done without where it is
//! refused. Here is noted what came of it, for the operator.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::kind::{KernelFeature, Label};

const UNTRIED: u8 = 0;
const GIVEN: u8 = 1;
const REFUSED: u8 = 2;

/// One for each feature, for the whole process.
static STATES: [AtomicU8; KernelFeature::ALL.len()] =
    [const { AtomicU8::new(UNTRIED) }; KernelFeature::ALL.len()];

/// Notes what became of a feature. A refusal stays, whoever else is given the feature. Returns whether this is the
/// first refusal, which is worth a line in the log.
pub fn note_feature(feature: KernelFeature, is_given: bool) -> bool {
    let state = if is_given { GIVEN } else { REFUSED };
    STATES[feature.index()].fetch_max(state, Relaxed) < REFUSED && !is_given
}

/// Whether the kernel gives a feature; `None` as long as nobody has tried.
pub fn kernel_feature(feature: KernelFeature) -> Option<bool> {
    match STATES[feature.index()].load(Relaxed) {
        UNTRIED => None,
        state => Some(state == GIVEN),
    }
}

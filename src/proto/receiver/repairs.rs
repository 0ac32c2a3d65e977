//! Which retransmission source repairs which source (RFC 4588 §5.3).

/// Associations kept; the oldest that was only learned goes first.
const REPAIRS_MAX: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Repair {
    rtx_ssrc: u32,
    ssrc: u32,
    signalled: bool,
}

/// Retransmission source → repaired source.
#[derive(Debug)]
pub(super) struct Repairs {
    entries: Vec<Repair>,
}

impl Repairs {
    pub(super) fn new(signalled: &[(u32, Option<u32>)]) -> Self {
        let mut repairs = Self { entries: Vec::new() };
        repairs.signal(signalled);
        repairs
    }

    /// After a negotiation: replaces what was signalled before, keeps what was learned.
    pub(super) fn signal(&mut self, signalled: &[(u32, Option<u32>)]) {
        self.entries.retain(|entry| !entry.signalled);
        for (ssrc, rtx_ssrc) in signalled {
            if let Some(rtx_ssrc) = *rtx_ssrc {
                self.insert(Repair { rtx_ssrc, ssrc: *ssrc, signalled: true });
            }
        }
    }

    pub(super) fn learn(&mut self, rtx_ssrc: u32, ssrc: u32) {
        self.insert(Repair { rtx_ssrc, ssrc, signalled: false });
    }

    pub(super) fn repaired_by(&self, rtx_ssrc: u32) -> Option<u32> {
        self.entries.iter().find(|entry| entry.rtx_ssrc == rtx_ssrc).map(|entry| entry.ssrc)
    }

    /// The source that repairs this one.
    pub(super) fn repairing(&self, ssrc: u32) -> Option<u32> {
        self.entries.iter().find(|entry| entry.ssrc == ssrc).map(|entry| entry.rtx_ssrc)
    }

    /// The source is gone.
    pub(super) fn forget(&mut self, ssrc: u32) {
        self.entries.retain(|entry| entry.signalled || entry.ssrc != ssrc);
    }

    fn insert(&mut self, repair: Repair) {
        self.entries.retain(|entry| entry.rtx_ssrc != repair.rtx_ssrc);
        if self.entries.len() == REPAIRS_MAX {
            let learned = self.entries.iter().position(|entry| !entry.signalled);
            self.entries.remove(learned.unwrap_or(0));
        }
        self.entries.push(repair);
    }
}

//! The end of the server: what makes it begin, and the order in which things end.
//!
//! Sessions are told first and end their calls (BYE, close_notify, WebSocket 1001), then HTTP stops, then the
//! threads of the engine. Everything shares one deadline.

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::problem::{Code, Problem};

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Watches for them from now on, instead of being ended by them.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn watch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Whether the server takes sessions, and how many it has.
pub(crate) struct Lifecycle {
    closing: watch::Sender<bool>,
    sessions: watch::Sender<usize>,
    sessions_max: usize,
}

impl Lifecycle {
    pub(crate) fn new(sessions_max: usize) -> Self {
        Self { closing: watch::Sender::new(false), sessions: watch::Sender::new(0), sessions_max }
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// No session begins from now on, and those that are there end.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// A session begins; it has ended when the guard is dropped.
    ///
    /// # Errors
    /// When the server is closing or has as many as it takes.
    pub(crate) fn begin(&self) -> Result<SessionGuard, Problem> {
        if self.is_closing() {
            return Err(Problem::new(Code::ShuttingDown, "the server is shutting down"));
        }
        let begun = self.sessions.send_if_modified(|count| {
            let free = *count < self.sessions_max;
            *count += usize::from(free);
            free
        });
        if !begun {
            return Err(Problem::new(Code::Overloaded, "the server has as many sessions as it takes"));
        }
        Ok(SessionGuard { sessions: self.sessions.clone(), closing: self.closing.subscribe() })
    }

    /// Waits until there are no sessions.
    pub(crate) async fn all_ended(&self) {
        // The sender lives as long as self, so there is always an answer.
        let _ = self.sessions.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// One session that counts.
pub(crate) struct SessionGuard {
    sessions: watch::Sender<usize>,
    closing: watch::Receiver<bool>,
}

impl SessionGuard {
    /// Waits until the server closes.
    pub(crate) async fn closing(&mut self) {
        if self.closing.wait_for(|closing| *closing).await.is_err() {
            // The server is gone altogether, which a session can't outlive for long.
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.sessions.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sessions_are_limited_and_awaited() {
        let lifecycle = Lifecycle::new(1);
        let mut session = lifecycle.begin().ok().unwrap();
        assert_eq!(lifecycle.begin().err().unwrap().code, Code::Overloaded);
        lifecycle.close();
        assert_eq!(lifecycle.begin().err().unwrap().code, Code::ShuttingDown);
        session.closing().await;
        drop(session);
        lifecycle.all_ended().await;
    }
}

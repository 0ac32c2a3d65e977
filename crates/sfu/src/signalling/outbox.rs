//! The way out to one client: a bounded queue and the task that empties it into the WebSocket.
//!
//! The client's own task never waits for the network. A client that takes its messages too slowly fills the
//! queue, and is then disconnected: what it would see is out of date anyway.

use std::time::Duration;

use actix_ws::{CloseReason, Session};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
};

/// Messages that may wait: a room of 50 changing as a whole, several times over.
const QUEUE_MAX: usize = 256;
/// One frame that the client does not take for so long: its network is gone or its page is stuck.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// For the last words: what is queued, and the close frame.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

enum Outgoing {
    Text(String),
    Ping,
    Pong(bytes::Bytes),
}

/// Why nothing more can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum OutboxError {
    /// The client does not take its messages.
    #[error("the client takes its messages too slowly")]
    Full,
    /// The WebSocket is gone.
    #[error("the WebSocket is gone")]
    Closed,
}

/// Sends to one client.
pub(super) struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    writer: JoinHandle<()>,
    session: Session,
}

impl Outbox {
    pub(super) fn start(session: Session) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let writer = actix_web::rt::spawn(write(session.clone(), waiting));
        Self { queue, writer, session }
    }

    pub(super) fn text(&self, text: String) -> Result<(), OutboxError> {
        self.push(Outgoing::Text(text))
    }

    pub(super) fn ping(&self) -> Result<(), OutboxError> {
        self.push(Outgoing::Ping)
    }

    pub(super) fn pong(&self, payload: bytes::Bytes) -> Result<(), OutboxError> {
        self.push(Outgoing::Pong(payload))
    }

    fn push(&self, outgoing: Outgoing) -> Result<(), OutboxError> {
        self.queue.try_send(outgoing).map_err(|error| match error {
            TrySendError::Full(_) => OutboxError::Full,
            TrySendError::Closed(_) => OutboxError::Closed,
        })
    }

    /// Sends what is queued and the close frame, as far as the client still takes anything.
    pub(super) async fn close(self, reason: CloseReason) {
        let Self { queue, mut writer, session } = self;
        drop(queue);
        let flushed = tokio::time::timeout(CLOSE_PATIENCE, &mut writer).await;
        if flushed.is_err() {
            writer.abort();
        }
        // A client that is gone has nothing to be told.
        let _ = tokio::time::timeout(CLOSE_PATIENCE, session.close(Some(reason))).await;
    }
}

async fn write(mut session: Session, mut waiting: mpsc::Receiver<Outgoing>) {
    while let Some(outgoing) = waiting.recv().await {
        let sending = async {
            match outgoing {
                Outgoing::Text(text) => session.text(text).await,
                Outgoing::Ping => session.ping(b"").await,
                Outgoing::Pong(payload) => session.pong(&payload).await,
            }
        };
        match tokio::time::timeout(WRITE_PATIENCE, sending).await {
            Ok(Ok(())) => {}
            // Dropping the queue's end tells the client's task.
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

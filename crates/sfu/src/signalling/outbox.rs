//! The way out to one client: a bounded queue, which is the body of the response that made the WebSocket.
//!
//! The client's own task never waits for the network. A client that takes its messages too slowly fills the
//! queue, and is then disconnected: what it would see is out of date anyway.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_codec::Encoder;
use actix_http::{
    body::{BodySize, MessageBody},
    ws::{CloseReason, Codec, Message},
};
use bytes::{Bytes, BytesMut};

use crate::queue::{self, Receiver, SendError, Sender};

/// Messages that may wait: a room of 50 changing as a whole, several times over.
const QUEUE_MAX: usize = 256;
/// For the last words: what is queued, and the close frame.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

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
    queue: Sender<Message>,
}

/// What is to be sent, as frames. Dropping it says that the WebSocket is gone.
pub(super) struct Frames {
    queue: Receiver<Message>,
    codec: Codec,
    is_closed: bool,
}

/// An outbox, and what writes it.
pub(super) fn outbox() -> (Outbox, Frames) {
    let (sender, receiver) = queue::channel(QUEUE_MAX);
    (Outbox { queue: sender }, Frames { queue: receiver, codec: Codec::new(), is_closed: false })
}

impl Outbox {
    pub(super) fn text(&self, text: String) -> Result<(), OutboxError> {
        self.push(Message::Text(text.into()))
    }

    pub(super) fn ping(&self) -> Result<(), OutboxError> {
        self.push(Message::Ping(Bytes::new()))
    }

    pub(super) fn pong(&self, payload: Bytes) -> Result<(), OutboxError> {
        self.push(Message::Pong(payload))
    }

    fn push(&self, message: Message) -> Result<(), OutboxError> {
        self.queue.try_send(message).map_err(|error| match error {
            SendError::Full => OutboxError::Full,
            SendError::Closed => OutboxError::Closed,
        })
    }

    /// Ends when nothing can be sent any more: the WebSocket is gone.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }

    /// Sends what is queued and the close frame, as far as the client still takes anything.
    pub(super) async fn close(self, reason: CloseReason) {
        self.queue.send_last(Message::Close(Some(reason)));
        let _ = tokio::time::timeout(CLOSE_PATIENCE, self.queue.closed()).await;
    }
}

impl MessageBody for Frames {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        let mut frames = BytesMut::new();
        while !this.is_closed {
            match this.queue.poll_recv(context) {
                Poll::Ready(Some(message)) => {
                    // RFC 6455 §5.5.1: nothing follows a close frame.
                    this.is_closed = matches!(message, Message::Close(_));
                    // Refused only in the middle of a fragmented message, and none is sent.
                    let _ = this.codec.encode(message, &mut frames);
                }
                Poll::Ready(None) => this.is_closed = true,
                Poll::Pending if frames.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(if frames.is_empty() { None } else { Some(Ok(frames.freeze())) })
    }
}

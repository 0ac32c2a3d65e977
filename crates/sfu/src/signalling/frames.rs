//! The way in from one client: messages out of the frames that it sends (RFC 6455 §5).
//!
//! Nothing is kept between messages, and never more than one of the largest size: what follows it is left to the
//! network until the message has been taken.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_codec::Decoder;
use actix_http::ws::{Codec, Frame, Item, ProtocolError};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;

/// One message, or one control frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Text, in UTF-8.
    Text(String),
    Binary,
    Ping(Bytes),
    Pong,
    Close,
}

/// What a client can do wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The connection broke.
    #[error("the connection broke")]
    Lost,
    /// A text message is not in UTF-8. What follows can still be read.
    #[error("a text message is not in UTF-8")]
    NotText,
    #[error("a message is too large")]
    TooLarge,
    #[error(transparent)]
    Protocol(ProtocolError),
}

/// A message that comes in several frames.
#[derive(Default)]
struct Partial {
    is_text: bool,
    data: Vec<u8>,
}

/// What a client sends.
pub(super) struct Frames {
    payload: Payload,
    codec: Codec,
    /// Bytes of each message.
    most: usize,
    read: BytesMut,
    partial: Partial,
}

impl Frames {
    /// Messages of at most so many bytes.
    pub(super) fn new(payload: Payload, most: usize) -> Self {
        let codec = Codec::new().max_size(most);
        Self { payload, codec, most, read: BytesMut::new(), partial: Partial::default() }
    }

    /// The next message; `None` at the end of the connection. After an error other than [`FrameError::NotText`]
    /// there is nothing to be understood.
    pub(super) async fn next(&mut self) -> Option<Result<Message, FrameError>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message, FrameError>>> {
        loop {
            match self.decode() {
                Ok(None) => {}
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            let Some(chunk) = ready!(Pin::new(&mut self.payload).poll_next(context)) else {
                return Poll::Ready(None);
            };
            let Ok(chunk) = chunk else { return Poll::Ready(Some(Err(FrameError::Lost))) };
            if self.read.is_empty() {
                self.read = BytesMut::from(chunk);
            } else {
                self.read.extend_from_slice(&chunk);
            }
        }
    }

    /// A message, if it has been read as a whole.
    fn decode(&mut self) -> Result<Option<Message>, FrameError> {
        while !self.read.is_empty() {
            let Some(frame) = self.codec.decode(&mut self.read)? else { return Ok(None) };
            if self.read.is_empty() {
                // A view of nothing still holds the memory of what was read.
                self.read = BytesMut::new();
            }
            if let Some(message) = self.message(frame)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn message(&mut self, frame: Frame) -> Result<Option<Message>, FrameError> {
        let message = match frame {
            Frame::Text(data) => text(data.to_vec())?,
            Frame::Binary(_) => Message::Binary,
            // A part of the memory that was read into must not keep all of it.
            Frame::Ping(data) => Message::Ping(Bytes::copy_from_slice(&data)),
            Frame::Pong(_) => Message::Pong,
            Frame::Close(_) => Message::Close,
            Frame::Continuation(Item::FirstText(data)) => {
                self.partial.is_text = true;
                self.append(&data)?;
                return Ok(None);
            }
            Frame::Continuation(Item::FirstBinary(data)) => {
                self.partial.is_text = false;
                self.append(&data)?;
                return Ok(None);
            }
            Frame::Continuation(Item::Continue(data)) => {
                self.append(&data)?;
                return Ok(None);
            }
            Frame::Continuation(Item::Last(data)) => {
                self.append(&data)?;
                let whole = std::mem::take(&mut self.partial);
                if whole.is_text { text(whole.data)? } else { Message::Binary }
            }
        };
        Ok(Some(message))
    }

    fn append(&mut self, data: &[u8]) -> Result<(), FrameError> {
        if self.partial.data.len() + data.len() > self.most {
            return Err(FrameError::TooLarge);
        }
        self.partial.data.extend_from_slice(data);
        Ok(())
    }
}

fn text(data: Vec<u8>) -> Result<Message, FrameError> {
    String::from_utf8(data).map(Message::Text).map_err(|_| FrameError::NotText)
}

impl From<ProtocolError> for FrameError {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::Overflow => Self::TooLarge,
            error => Self::Protocol(error),
        }
    }
}

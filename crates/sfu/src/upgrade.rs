//! What becomes of a connection that is a WebSocket from now on (RFC 9110 §7.8, RFC 6455 §4.2.2).
//!
//! Left to itself, `actix-http` serves such a connection as one endless request and keeps its own buffers for it,
//! 16 KiB as long as the client stays. Here the application answers the request as it does any other, and its
//! answer is written; then all of that is let go, and only the stream remains: what is read goes to the request's
//! payload, what the response's body yields is written. Neither side holds a buffer while it has nothing to carry.

use std::{
    convert::Infallible,
    io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_codec::{Encoder, Framed};
use actix_http::{
    ConnectionType, Payload, Request, Response, StatusCode,
    body::{BodySize, BoxBody, MessageBody},
    error::PayloadError,
    h1::{Codec, Message},
};
use actix_service::{Service, ServiceFactory};
use bytes::{Bytes, BytesMut};
use futures_util::{
    Stream,
    future::{LocalBoxFuture, poll_fn},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};

/// On the stack, so for one read: the messages of most sessions are shorter.
const READ_BYTES: usize = 4 * 1024;
/// For what is written at once: a client that does not take it so long has lost its network, or its page is stuck.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// For a client to take an answer that refuses it.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(10);

/// Makes, for each thread that serves, what takes its upgraded connections.
pub(crate) struct Upgrades<F>(pub(crate) F);

/// Answers requests to upgrade with an application of its own.
pub(crate) struct Upgrade<S>(Rc<S>);

impl<F, T> ServiceFactory<(Request, Framed<T, Codec>)> for Upgrades<F>
where
    F: ServiceFactory<Request, Config = (), InitError = ()>,
    F::Future: 'static,
    F::Service: Service<Request, Response: Into<Response<BoxBody>>, Error: Into<Response<BoxBody>>> + 'static,
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    type Response = ();
    type Error = Infallible;
    type Config = ();
    type Service = Upgrade<F::Service>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Service, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let made = self.0.new_service(());
        Box::pin(async move { Ok(Upgrade(Rc::new(made.await?))) })
    }
}

impl<S, T> Service<(Request, Framed<T, Codec>)> for Upgrade<S>
where
    S: Service<Request, Response: Into<Response<BoxBody>>, Error: Into<Response<BoxBody>>> + 'static,
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    type Response = ();
    type Error = Infallible;
    type Future = LocalBoxFuture<'static, Result<(), Infallible>>;

    actix_service::always_ready!();

    fn call(&self, (request, connection): (Request, Framed<T, Codec>)) -> Self::Future {
        let application = Rc::clone(&self.0);
        Box::pin(async move {
            if let Err(error) = answer(&*application, request, connection).await {
                tracing::debug!(%error, "a connection ended before it was upgraded");
            }
            Ok(())
        })
    }
}

/// Answers the request. If the answer is that the protocol changes, what is left is carried by a task of its own,
/// so that nothing of the connection's past is kept.
async fn answer<S, T>(application: &S, mut request: Request, connection: Framed<T, Codec>) -> io::Result<()>
where
    S: Service<Request, Response: Into<Response<BoxBody>>, Error: Into<Response<BoxBody>>>,
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let parts = connection.into_parts();
    let (mut codec, mut head) = (parts.codec, parts.write_buf);
    let (input, mut output) = tokio::io::split(parts.io);
    // The memory that the head of the request was read into is not kept.
    let early = Bytes::copy_from_slice(&parts.read_buf);
    drop(parts.read_buf);
    *request.payload() = Payload::Stream { payload: Box::pin(Incoming { early, input }) };
    let response = application.call(request).await.map_or_else(Into::into, Into::into);
    let (mut response, body) = response.into_parts();
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.head_mut().set_connection_type(ConnectionType::Close);
        let refusal = refuse(codec, head, output, (response, body));
        return tokio::time::timeout(REFUSAL_PATIENCE, refusal).await.unwrap_or(Ok(()));
    }
    codec.encode(Message::Item((response, body.size())), &mut head)?;
    output.write_all(&head).await?;
    output.flush().await?;
    actix_web::rt::spawn(carry(output, body));
    Ok(())
}

/// Writes an answer that leaves the protocol as it is. The connection ends with it: what follows the request may
/// be of the protocol that the client wished for.
async fn refuse<T: AsyncWrite>(
    mut codec: Codec,
    mut waiting: BytesMut,
    mut output: WriteHalf<T>,
    (response, mut body): (Response<()>, BoxBody),
) -> io::Result<()> {
    let size = body.size();
    codec.encode(Message::Item((response, size)), &mut waiting)?;
    if !matches!(size, BodySize::None | BodySize::Sized(0)) {
        while let Some(chunk) = next_of(&mut body).await {
            codec.encode(Message::Chunk(Some(chunk?)), &mut waiting)?;
            output.write_all_buf(&mut waiting).await?;
        }
        codec.encode(Message::Chunk(None), &mut waiting)?;
    }
    output.write_all_buf(&mut waiting).await?;
    output.shutdown().await
}

/// Writes what the body yields until it ends or the client is gone. Dropping the body tells its other end.
async fn carry<T: AsyncWrite>(mut output: WriteHalf<T>, mut body: BoxBody) {
    while let Some(Ok(chunk)) = next_of(&mut body).await {
        // Boxed: it is there only while something is written.
        let write = async {
            output.write_all(&chunk).await?;
            output.flush().await
        };
        if !matches!(Box::pin(tokio::time::timeout(WRITE_PATIENCE, write)).await, Ok(Ok(()))) {
            return;
        }
    }
    // The client reads to the end of the stream; it is gone if it can't be told.
    let _ = output.shutdown().await;
}

async fn next_of(body: &mut BoxBody) -> Option<io::Result<Bytes>> {
    let next = poll_fn(|context| Pin::new(&mut *body).poll_next(context)).await?;
    Some(next.map_err(|error| io::Error::other(error.to_string())))
}

/// What the client sends, as it comes.
struct Incoming<T> {
    /// What came together with the request.
    early: Bytes,
    input: ReadHalf<T>,
}

impl<T: AsyncRead> Stream for Incoming<T> {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if !this.early.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut this.early))));
        }
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut space = ReadBuf::uninit(&mut space);
        let read = Pin::new(&mut this.input).poll_read(context, &mut space);
        let chunk = ready!(read).map(|()| Bytes::copy_from_slice(space.filled())).map_err(PayloadError::Io);
        Poll::Ready(Some(chunk).filter(|chunk| !chunk.as_ref().is_ok_and(Bytes::is_empty)))
    }
}

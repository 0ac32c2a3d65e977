//! What goes to the script: answers, signalling and events, as JSON texts.

use serde_json::{Value, json};

/// The writing half of a script's WebSocket. Clones write to the same one.
#[derive(Clone)]
pub(crate) struct Outbox {
    socket: actix_ws::Session,
}

impl Outbox {
    pub(crate) fn new(socket: actix_ws::Session) -> Self {
        Self { socket }
    }

    /// A script that has gone is noticed where it is read.
    pub(crate) async fn send(&mut self, message: Value) {
        let _ = self.socket.text(message.to_string()).await;
    }

    pub(crate) async fn answer(&mut self, id: u64, result: anyhow::Result<Value>) {
        let message = match result {
            Ok(value) => json!({ "answer": id, "value": value }),
            Err(error) => json!({ "answer": id, "error": format!("{error:#}") }),
        };
        self.send(message).await;
    }

    pub(crate) async fn event(&mut self, name: &str, detail: Value) {
        self.send(json!({ "event": name, "detail": detail })).await;
    }

    pub(crate) async fn pong(&mut self, bytes: &[u8]) {
        let _ = self.socket.pong(bytes).await;
    }

    pub(crate) async fn close(self) {
        let _ = self.socket.close(None).await;
    }
}

//! A peer played by hand, for tests that need datagrams no agent would write.

use std::net::SocketAddr;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::*;
use crate::proto::stun::{Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method, TransactionId};

/// A peer played by hand: it writes what a test wants written.
pub(super) struct Peer {
    pub(super) credentials: Credentials,
    agent: Credentials,
    random: StdRng,
}

impl Peer {
    pub(super) fn of(agent: &Agent) -> Self {
        let mut random = StdRng::seed_from_u64(77);
        Self {
            credentials: Credentials::generate(&mut random),
            agent: agent.local_credentials().clone(),
            random,
        }
    }

    pub(super) fn start(&mut self, class: Class, method: Method) -> MessageBuilder {
        MessageBuilder::new(class, method, TransactionId::random(&mut self.random))
    }

    pub(super) fn username(&self) -> String {
        format!("{}:{}", self.agent.ufrag, self.credentials.ufrag)
    }

    pub(super) fn key(&self) -> IntegrityKey {
        IntegrityKey::new(self.agent.password.as_bytes())
    }

    pub(super) fn request_without_role(&mut self, priority: u32, nominate: bool) -> Bytes {
        let username = self.username();
        let mut message = self.start(Class::Request, Method::BINDING).username(&username).priority(priority);
        if nominate {
            message = message.use_candidate();
        }
        message.integrity(&self.key()).finish()
    }

    pub(super) fn request(&mut self, priority: u32, nominate: bool) -> Bytes {
        let username = self.username();
        let mut message = self
            .start(Class::Request, Method::BINDING)
            .username(&username)
            .priority(priority)
            .ice_controlling(1);
        if nominate {
            message = message.use_candidate();
        }
        message.integrity(&self.key()).finish()
    }

    /// Answers a check of the agent.
    pub(super) fn answer(&self, request: &[u8], mapped: SocketAddr) -> Bytes {
        let request = Message::parse(request).unwrap();
        let key = IntegrityKey::new(self.credentials.password.as_bytes());
        assert!(request.verify_integrity(&key));
        assert!(request.has_fingerprint());
        MessageBuilder::new(Class::SuccessResponse, Method::BINDING, request.transaction_id())
            .xor_mapped_address(mapped)
            .integrity(&key)
            .finish()
    }

    pub(super) fn refusal(&self, request: &[u8], error: ErrorCode<'_>) -> MessageBuilder {
        let request = Message::parse(request).unwrap();
        MessageBuilder::new(Class::ErrorResponse, Method::BINDING, request.transaction_id()).error_code(error)
    }
}

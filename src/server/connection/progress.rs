//! Tracks the progress of a connection's request. Time is an argument.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The first bytes of every answer, interim ones included.
pub(super) const PREFIX: &[u8] = b"HTTP/1.";

/// Progress shared by the parts of a connection, which all run on one task.
pub(super) type Shared = Arc<Mutex<Progress>>;

/// The state of a connection.
#[derive(Debug)]
pub(super) struct Progress {
    stage: Stage,
    /// The deadline of the current stage.
    deadline: Option<Instant>,
    /// Number of bytes of [`PREFIX`] sent before there was an answer.
    sent_ahead: usize,
    /// Whether the last write blocked, so that hyper may have more to send.
    blocked: bool,
    rejected: bool,
    keep_alive_timeout: Duration,
    read_timeout: Duration,
}

/// The stage of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// An answer is being sent, or the connection is new. Ends when hyper reads the next request.
    Sending,
    /// Nothing of the next request has arrived.
    Idle,
    /// Part of the headers has arrived.
    Head,
    /// The handler is running.
    Handling,
    /// The answer exists, but nothing of it is sent.
    Answered,
}

pub(super) fn lock(shared: &Shared) -> MutexGuard<'_, Progress> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Progress {
    pub(super) fn shared(keep_alive_timeout: Duration, read_timeout: Duration) -> Shared {
        let (stage, deadline) = (Stage::Sending, None);
        let progress = Progress {
            stage,
            deadline,
            sent_ahead: 0,
            blocked: false,
            rejected: false,
            keep_alive_timeout,
            read_timeout,
        };
        Arc::new(Mutex::new(progress))
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn read_timeout(&self) -> Duration {
        self.read_timeout
    }

    /// hyper reads the next request, or more of the current one.
    pub(super) fn reading(&mut self, now: Instant) {
        if self.stage == Stage::Sending {
            (self.stage, self.deadline) = (Stage::Idle, Some(now + self.keep_alive_timeout));
        }
    }

    /// Bytes have arrived.
    pub(super) fn read(&mut self, now: Instant) {
        if self.stage == Stage::Idle {
            (self.stage, self.deadline) = (Stage::Head, Some(now + self.read_timeout));
        }
    }

    /// The headers are complete, and the handler is called.
    pub(super) fn called(&mut self) {
        (self.stage, self.deadline) = (Stage::Handling, None);
    }

    /// The handler has returned the answer.
    pub(super) fn answered(&mut self) {
        self.stage = Stage::Answered;
    }

    /// hyper writes `bytes`. Returns whether they are an answer by hyper itself rather than by the handler.
    pub(super) fn writing(&mut self, bytes: &[u8]) -> bool {
        match self.stage {
            Stage::Answered => self.stage = Stage::Sending,
            Stage::Handling => {}
            Stage::Sending | Stage::Idle | Stage::Head => return bytes.starts_with(PREFIX),
        }
        false
    }

    /// The headers are invalid, or did not arrive in time.
    pub(super) fn rejected(&mut self) {
        (self.rejected, self.deadline) = (true, None);
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.rejected
    }

    pub(super) fn wrote(&mut self, all: bool) {
        self.blocked = !all;
    }

    /// Whether the first bytes of the next answer may be sent now: only if nothing of it is sent and nothing earlier is pending.
    pub(super) fn may_send_ahead(&self) -> bool {
        self.stage == Stage::Handling && !self.blocked && self.sent_ahead == 0
    }

    pub(super) fn sent_ahead(&mut self, bytes: usize) {
        self.sent_ahead = bytes;
    }

    /// How many of the bytes that hyper writes now are sent already.
    pub(super) fn already_sent(&self) -> usize {
        self.sent_ahead
    }
}

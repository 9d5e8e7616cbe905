//! How far a connection has come with its request. Time is an argument.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What every answer begins with, the interim ones as well.
pub(super) const PREFIX: &[u8] = b"HTTP/1.";

/// The connection's parts share it; all of them run on one task.
pub(super) type Shared = Arc<Mutex<Progress>>;

/// What the parts of a connection know of each other.
#[derive(Debug)]
pub(super) struct Progress {
    stage: Stage,
    /// By when the stage must have ended.
    deadline: Option<Instant>,
    /// Of [`PREFIX`], as many bytes were sent before there was an answer.
    sent_ahead: usize,
    /// Did the last write find no room? hyper may then have more to send.
    blocked: bool,
    rejected: bool,
    keep_alive_timeout: Duration,
    read_timeout: Duration,
}

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// An answer is being sent, or the connection is new. It is over when the next request is asked for.
    Sending,
    /// Nothing of the next request has come.
    Idle,
    /// A part of its head has come.
    Head,
    /// The request is being answered.
    Handling,
    /// The answer is there, and nothing of it is sent.
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

    /// The next request is asked for, or more of this one.
    pub(super) fn reading(&mut self, now: Instant) {
        if self.stage == Stage::Sending {
            (self.stage, self.deadline) = (Stage::Idle, Some(now + self.keep_alive_timeout));
        }
    }

    /// Bytes have come.
    pub(super) fn read(&mut self, now: Instant) {
        if self.stage == Stage::Idle {
            (self.stage, self.deadline) = (Stage::Head, Some(now + self.read_timeout));
        }
    }

    /// The head is read.
    pub(super) fn called(&mut self) {
        (self.stage, self.deadline) = (Stage::Handling, None);
    }

    /// The answer is there.
    pub(super) fn answered(&mut self) {
        self.stage = Stage::Answered;
    }

    /// hyper writes this; is it an answer that nobody but hyper has given?
    pub(super) fn writing(&mut self, bytes: &[u8]) -> bool {
        match self.stage {
            Stage::Answered => self.stage = Stage::Sending,
            Stage::Handling => {}
            Stage::Sending | Stage::Idle | Stage::Head => return bytes.starts_with(PREFIX),
        }
        false
    }

    /// The head could not be read, or did not come.
    pub(super) fn rejected(&mut self) {
        (self.rejected, self.deadline) = (true, None);
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.rejected
    }

    pub(super) fn wrote(&mut self, all: bool) {
        self.blocked = !all;
    }

    /// May the beginning of the next answer be sent now? Only if nothing of it, nor of the one before, is still to be sent.
    pub(super) fn may_send_ahead(&self) -> bool {
        self.stage == Stage::Handling && !self.blocked && self.sent_ahead == 0
    }

    pub(super) fn sent_ahead(&mut self, bytes: usize) {
        self.sent_ahead = bytes;
    }

    /// Of the bytes that hyper writes now, as many are sent already.
    pub(super) fn already_sent(&self) -> usize {
        self.sent_ahead
    }
}

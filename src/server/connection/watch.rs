//! Detects a caller that has disconnected or is too slow.

use std::future::{pending, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::sleep_until;

use super::progress::{PREFIX, Shared, Stage, lock};
use crate::server::http::slow_head;

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The caller closed its connection.
    Gone,
    /// It sent no further request.
    Idle,
    /// It did not complete the headers of a request.
    SlowHead,
}

/// Completes when the caller has disconnected or exceeds a timeout. Must be polled after hyper's part of the connection, on the
/// same task.
pub(super) async fn watch(read: &OwnedReadHalf, progress: &Shared) -> Left {
    tokio::select! {
        () = gone(read, progress) => Left::Gone,
        left = late(read.as_ref(), progress) => left,
    }
}

/// Completes when the caller disconnects while its request is handled.
///
/// The end of the caller's stream is ambiguous: it may have half-closed the connection and wait for the answer, or be gone. So
/// the first bytes of the answer, which are the same for every answer, are sent early: a live caller keeps them, and the system
/// of a closed one replies with a reset.
async fn gone(read: &OwnedReadHalf, progress: &Shared) {
    let stream: &TcpStream = read.as_ref();
    if poll_fn(|context| poll_end(stream, progress, context)).await.is_err() {
        return;
    }
    // Nagle's algorithm would delay the rest of the answer until these bytes are acknowledged.
    let _ = stream.set_nodelay(true);
    match stream.try_write(PREFIX) {
        Ok(length) => lock(progress).sent_ahead(length),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(_) => return,
    }
    if read.ready(Interest::ERROR).await.is_err() {
        pending().await
    }
}

/// Ready once the caller has ended its stream while its request is handled and no unread bytes precede the end.
fn poll_end(stream: &TcpStream, progress: &Shared, context: &mut Context) -> Poll<io::Result<()>> {
    // Otherwise hyper reads and sees the end itself, or an answer is partly sent.
    if !lock(progress).may_send_ahead() {
        return Poll::Pending;
    }
    let mut byte = [MaybeUninit::uninit()];
    match stream.poll_peek(context, &mut ReadBuf::uninit(&mut byte)) {
        Poll::Ready(Ok(0)) => Poll::Ready(Ok(())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        // The bytes are hyper's, which wakes this task when it reads.
        Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
    }
}

/// Completes when the next request or the rest of its headers does not arrive in time. Incomplete headers are answered with an
/// error.
async fn late(stream: &TcpStream, progress: &Shared) -> Left {
    let mut sleep = pin!(sleep_until(Instant::now().into()));
    poll_fn(|context| {
        let Some(deadline) = lock(progress).deadline() else { return Poll::Pending };
        if sleep.deadline() != deadline.into() {
            sleep.as_mut().reset(deadline.into());
        }
        sleep.as_mut().poll(context)
    })
    .await;
    let mut progress = lock(progress);
    if progress.stage() != Stage::Head {
        return Left::Idle;
    }
    // Nothing else is pending. A failed write does not matter: the connection closes.
    let _ = stream.try_write(&slow_head(progress.read_timeout()));
    progress.rejected();
    Left::SlowHead
}

//! Finds out that a caller has gone, or takes too long.

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

/// Why nobody is served any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The caller closed its connection.
    Gone,
    /// It sent no other request.
    Idle,
    /// It began a request, and did not come to the end of its head.
    SlowHead,
}

/// Completes when the caller has gone, or is too late. Must be polled after hyper's part of the connection, on its task.
pub(super) async fn watch(read: &OwnedReadHalf, progress: &Shared) -> Left {
    tokio::select! {
        () = gone(read, progress) => Left::Gone,
        left = late(read.as_ref(), progress) => left,
    }
}

/// Completes when the caller has gone while its request is answered.
///
/// The end of its sending direction tells nothing: it comes from one that has sent its request and waits as well as from one
/// that is gone. So the first bytes of the answer are sent, which are the same for every answer: who is still there keeps
/// them, and the system of who is not says so at once.
async fn gone(read: &OwnedReadHalf, progress: &Shared) {
    let stream: &TcpStream = read.as_ref();
    if poll_fn(|context| poll_end(stream, progress, context)).await.is_err() {
        return;
    }
    // Else the rest of the answer would wait until these bytes are acknowledged.
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

/// Has the caller ended its direction, while its request is answered and nothing stands before the end?
fn poll_end(stream: &TcpStream, progress: &Shared, context: &mut Context) -> Poll<io::Result<()>> {
    // Else hyper reads, and sees the end itself; or what is sent may be the middle of an answer.
    if !lock(progress).may_send_ahead() {
        return Poll::Pending;
    }
    let mut byte = [MaybeUninit::uninit()];
    match stream.poll_peek(context, &mut ReadBuf::uninit(&mut byte)) {
        Poll::Ready(Ok(0)) => Poll::Ready(Ok(())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        // What stands there is for hyper, which wakes this task when it wants it.
        Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
    }
}

/// Completes when a request, or the rest of its head, does not come in time. The latter is told.
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
    // Nothing else is on its way. Who does not read it loses nothing.
    let _ = stream.try_write(&slow_head(progress.read_timeout()));
    progress.rejected();
    Left::SlowHead
}

//! The socket passed to hyper: records the progress of the request, and adds a body to hyper's own error answers.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::progress::{PREFIX, Shared, lock};
use crate::server::http::rejection;

/// Both directions of a socket.
pub(super) struct Socket {
    write: OwnedWriteHalf,
    progress: Shared,
}

impl Socket {
    pub(super) fn new(write: OwnedWriteHalf, progress: Shared) -> Socket {
        Socket { write, progress }
    }

    /// Replaces hyper's answer without a body by one with a body. hyper closes the connection afterwards.
    fn reject(&mut self, context: &mut Context, head: &[u8]) -> Poll<io::Result<()>> {
        let answer = rejection(head);
        // Nothing else is pending, so the send buffer has room for a few hundred bytes.
        ready!(Pin::new(&mut self.write).poll_write(context, &answer))?;
        lock(&self.progress).rejected();
        Poll::Ready(Ok(()))
    }

    /// Writes `pieces` without the bytes that were sent ahead.
    fn send(&mut self, context: &mut Context, pieces: &[IoSlice]) -> Poll<io::Result<usize>> {
        let ahead = lock(&self.progress).already_sent();
        let first = pieces.iter().find(|piece| !piece.is_empty());
        let written = match first {
            Some(first) if ahead > 0 => {
                let Some(rest) = first.strip_prefix(&PREFIX[..ahead]) else {
                    return Poll::Ready(Err(io::Error::other("an answer does not begin with HTTP/1.")));
                };
                Pin::new(&mut self.write).poll_write(context, rest).map_ok(|length| length + ahead)
            }
            _ => Pin::new(&mut self.write).poll_write_vectored(context, pieces),
        };
        let mut progress = lock(&self.progress);
        progress.wrote(written.is_ready());
        if written.is_ready() {
            progress.sent_ahead(0);
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context, buffer: &mut ReadBuf) -> Poll<io::Result<()>> {
        lock(&self.progress).reading(Instant::now());
        let stream: &TcpStream = self.write.as_ref();
        loop {
            ready!(stream.poll_read_ready(context))?;
            match stream.try_read_buf(buffer) {
                Ok(length) => {
                    if length > 0 {
                        lock(&self.progress).read(Instant::now());
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        pieces: &[IoSlice],
    ) -> Poll<io::Result<usize>> {
        let first = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
        if lock(&self.progress).writing(first) {
            ready!(self.reject(context, first))?;
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        self.send(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.write.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(context)
    }
}

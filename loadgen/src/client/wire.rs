//! A stream that records when a request's first byte is sent.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The instant of the first byte sent since `arm`.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent(Rc<Cell<Option<Instant>>>);

/// A stream and the instant at which the current request was sent.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    sent: Sent,
}

impl Sent {
    /// Clears the recorded instant.
    pub(super) fn arm(&self) {
        self.0.set(None);
    }

    pub(super) fn since_armed(&self) -> Option<Instant> {
        self.0.get()
    }

    fn now(&self) {
        if self.0.get().is_none() {
            self.0.set(Some(Instant::now()));
        }
    }
}

impl Wire {
    pub(super) fn new(stream: TcpStream, sent: Sent) -> Wire {
        Wire { stream, sent }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.sent.now();
        self.stream().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.sent.now();
        self.stream().poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}

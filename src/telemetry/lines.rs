//! Writes lines to a stream that may be full, slow or closed. Callers never block: a dedicated thread writes the lines, and
//! lines that exceed the buffer are dropped and counted.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// Maximum number of buffered lines.
const MAX_LINES: usize = 4096;
/// Maximum number of buffered bytes.
const MAX_BYTES: usize = 1 << 20;
/// Pause before the next try to write to a full non-blocking stream.
const RETRY: Duration = Duration::from_millis(10);

/// A handle to a buffered stream. Clones write to the same stream.
#[derive(Debug, Clone)]
pub struct Lines {
    shared: Arc<Shared>,
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Signalled when a line is added.
    more: Condvar,
    /// Signalled when everything is written.
    idle: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether the thread holds unwritten lines.
    writing: bool,
}

impl Lines {
    /// Starts the thread that writes to `stream`. `dropped` counts lost lines.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn to(stream: impl Write + Send + 'static, dropped: IntCounter) -> io::Result<Lines> {
        let lines = Lines { shared: Arc::default(), dropped };
        let (shared, dropped) = (lines.shared.clone(), lines.dropped.clone());
        thread::Builder::new().name("lines".to_owned()).spawn(move || shared.write_all(stream, &dropped))?;
        Ok(lines)
    }

    /// Queues `line`, which is written whole or not at all. Never blocks.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.shared.lock();
        if state.waiting.len() == MAX_LINES || state.bytes + line.len() > MAX_BYTES {
            drop(state);
            return self.dropped.inc();
        }
        state.bytes += line.len();
        state.waiting.push_back(line.to_owned());
        drop(state);
        self.shared.more.notify_one();
    }

    /// Waits until everything is written, at most for `at_most`. Returns whether it is.
    pub fn flush(&self, at_most: Duration) -> bool {
        let unwritten = |state: &mut State| state.writing || !state.waiting.is_empty();
        let waited = self.shared.idle.wait_timeout_while(self.shared.lock(), at_most, unwritten);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines for as long as the process runs. Holds no lock while writing.
    fn write_all(&self, mut stream: impl Write, dropped: &IntCounter) {
        loop {
            for line in self.next() {
                if write(&mut stream, &line).is_err() {
                    dropped.inc();
                }
            }
            // A persistent error shows at the next write.
            let _ = stream.flush();
            let mut state = self.lock();
            state.writing = false;
            if state.waiting.is_empty() {
                self.idle.notify_all();
            }
        }
    }

    /// Waits for lines and takes all of them.
    fn next(&self) -> VecDeque<Vec<u8>> {
        let none = |state: &mut State| state.waiting.is_empty();
        let mut state = self.more.wait_while(self.lock(), none).unwrap_or_else(PoisonError::into_inner);
        state.writing = true;
        state.bytes = 0;
        std::mem::take(&mut state.waiting)
    }
}

/// Writes a line to a stream that may be non-blocking.
fn write(stream: &mut impl Write, mut line: &[u8]) -> io::Result<()> {
    while !line.is_empty() {
        match stream.write(line) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => line = &line[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Lines;

    fn make_writer(&self) -> Lines {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A timeout that no test reaches.
    const FOREVER: Duration = Duration::from_secs(600);

    /// A stream that takes a write whenever the test receives one, and fails once the test is gone.
    struct Stream(SyncSender<Vec<u8>>);

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_owned()).map_err(|_| ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (Lines, Receiver<Vec<u8>>) {
        // A rendezvous channel: a write returns when the test receives it.
        let (sender, receiver) = sync_channel(0);
        (Lines::to(Stream(sender), IntCounter::new("dropped", "Lines.").unwrap()).unwrap(), receiver)
    }

    #[test]
    fn lines_come_in_their_order_and_flushing_waits_for_the_last() {
        let (lines, stream) = lines();
        let reader = thread::spawn(move || stream.iter().take(100).collect::<Vec<_>>());
        let sent: Vec<_> = (0..100).map(|line| format!("line {line}\n").into_bytes()).collect();
        sent.iter().for_each(|line| lines.push(line));
        assert!(lines.flush(FOREVER));
        assert_eq!(reader.join().unwrap(), sent);
        assert_eq!(lines.dropped.get(), 0);
    }

    #[test]
    fn a_stream_that_takes_nothing_holds_up_nobody_and_what_has_no_room_is_counted() {
        let (lines, stream) = lines();
        lines.push(b"first\n");
        // The thread holds the first line from here on, and all others wait.
        while lines.shared.lock().waiting.len() == 1 {
            thread::yield_now();
        }
        let more = MAX_LINES as u64 + 5;
        (0..more).for_each(|_| lines.push(b"line\n"));
        assert_eq!(lines.dropped.get(), 5);
        assert!(!lines.flush(Duration::from_millis(1)));
        let reader = thread::spawn(move || stream.iter().take(MAX_LINES + 1).count());
        assert!(lines.flush(FOREVER));
        assert_eq!(reader.join().unwrap(), MAX_LINES + 1);
        lines.push(&vec![b'x'; MAX_BYTES + 1]);
        assert_eq!(lines.dropped.get(), 6, "a line longer than all that may wait");
    }

    #[test]
    fn what_a_closed_stream_loses_is_counted_and_nothing_else_happens() {
        let (lines, stream) = lines();
        drop(stream);
        (0..3).for_each(|_| lines.push(b"lost\n"));
        assert!(lines.flush(FOREVER));
        assert_eq!(lines.dropped.get(), 3);
    }
}

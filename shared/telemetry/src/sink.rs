//! Where lines go: a bounded buffer, and one thread that empties it.
//!
//! Who logs never waits for standard output. A line that finds no room is dropped and counted, and a line that
//! tells how many follows as soon as there is room again.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the thread lets lines gather between two writes. A thread that logs has to wake it once in this
/// time at most, and not for each line.
const GATHER: Duration = Duration::from_millis(1);

/// How long to wait before writing again to what can't be written to just now (a full disk).
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Takes lines from any thread. Clones are the same sink; when the last is dropped, what has been accepted is still
/// written.
#[derive(Clone, Debug)]
pub struct Sink {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    capacity: usize,
    queue: Mutex<Queue>,
    /// There is something to write, or nobody is left to write for.
    wake: Condvar,
    /// Something has been written.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Lines that came, dropped ones among them, and of how many the writer has written or told.
    came: u64,
    settled: u64,
    /// Lines dropped since the last line that told so.
    untold: u64,
    dropped: u64,
    /// Threads that wait for everything to be written.
    flushing: usize,
    asleep: bool,
    gathering: bool,
    closed: bool,
    gone: bool,
}

impl Shared {
    /// A panic elsewhere leaves the queue as it is: whole.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.wake.notify_all();
    }
}

impl Sink {
    /// A sink that holds up to `capacity` bytes until `writer` takes them (and as many that it is just taking).
    /// `tell_dropped` writes the line, with its line feed, that tells how many lines were dropped.
    ///
    /// # Errors
    ///
    /// Where the system has no thread for it.
    pub(crate) fn new(
        capacity: usize,
        writer: impl Write + Send + 'static,
        tell_dropped: impl FnMut(&mut Vec<u8>, u64) + Send + 'static,
    ) -> io::Result<Sink> {
        let queue = Queue { bytes: buffer(capacity), ..Queue::default() };
        let shared =
            Arc::new(Shared { capacity, queue: Mutex::new(queue), wake: Condvar::new(), settled: Condvar::new() });
        let thread = WriterThread { shared: Arc::clone(&shared), writer, tell_dropped };
        thread::Builder::new().name("telemetry".to_owned()).spawn(move || thread.run())?;
        Ok(Sink { handle: Arc::new(Handle { shared }) })
    }

    /// Takes a line, without its line feed. `false` where there is no room for it: then it is dropped and counted.
    /// Never waits for the writer.
    pub fn write_line(&self, line: &[u8]) -> bool {
        self.take(line, true)
    }

    /// The same for a line that is offered again later: where there is no room, it is not dropped.
    pub(crate) fn offer_line(&self, line: &[u8]) -> bool {
        self.take(line, false)
    }

    fn take(&self, line: &[u8], or_drop: bool) -> bool {
        let shared = &*self.handle.shared;
        let mut queue = shared.queue();
        if queue.gone || queue.bytes.len() + line.len() + 1 > shared.capacity {
            queue.came += u64::from(or_drop);
            queue.dropped += u64::from(or_drop);
            queue.untold += u64::from(or_drop);
            return false;
        }
        queue.came += 1;
        queue.bytes.extend_from_slice(line);
        queue.bytes.push(b'\n');
        let wake = queue.asleep || (queue.gathering && queue.bytes.len() > shared.capacity / 2);
        (queue.asleep, queue.gathering) = (queue.asleep && !wake, queue.gathering && !wake);
        drop(queue);
        if wake {
            shared.wake.notify_one();
        }
        true
    }

    /// Waits until what came so far is written, and what was dropped is told. `false` where that takes longer than `timeout`, or
    /// where nobody is left to write to.
    pub fn flush(&self, timeout: Duration) -> bool {
        let shared = &*self.handle.shared;
        // A time that no clock can show is waited for without one.
        let deadline = Instant::now().checked_add(timeout);
        let mut queue = shared.queue();
        let (came, mut in_time) = (queue.came, true);
        queue.flushing += 1;
        shared.wake.notify_one();
        while !queue.gone && in_time && queue.settled < came {
            let left = deadline.map_or(timeout, |at| at.saturating_duration_since(Instant::now()));
            in_time = !left.is_zero();
            queue = shared.settled.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.flushing -= 1;
        queue.settled >= came && !queue.gone
    }

    /// Lines dropped since the sink was made.
    pub fn dropped(&self) -> u64 {
        self.handle.shared.queue().dropped
    }
}

/// A buffer that need not grow while somebody logs. Of what is never used the system gives no memory.
fn buffer(capacity: usize) -> Vec<u8> {
    const MOST: usize = 64 << 20;
    Vec::with_capacity(capacity.min(MOST))
}

struct WriterThread<W, T> {
    shared: Arc<Shared>,
    writer: W,
    tell_dropped: T,
}

/// Why a batch was not written as a whole.
struct Gone {
    unwritten: usize,
}

impl<W: Write, T: FnMut(&mut Vec<u8>, u64)> WriterThread<W, T> {
    fn run(mut self) {
        // Also where the writer panics, nobody waits for it any more.
        let _gone = GoneOnDrop(Arc::clone(&self.shared));
        let mut batch = buffer(self.shared.capacity);
        while let Some((came, untold)) = self.next(&mut batch) {
            if untold > 0 {
                (self.tell_dropped)(&mut batch, untold);
            }
            let written = self.write(&batch);
            let mut queue = self.shared.queue();
            if let Err(Gone { unwritten }) = written {
                // A line that began to be written counts: nobody gets it whole.
                let lost = batch[batch.len() - unwritten..].iter().filter(|byte| **byte == b'\n').count();
                queue.dropped += lost as u64;
                return;
            }
            queue.settled = came;
            self.shared.settled.notify_all();
            drop(queue);
            batch.clear();
            self.gather();
        }
    }

    /// Waits for something to write, and takes it. `None` when nobody is left who could write more.
    fn next(&self, batch: &mut Vec<u8>) -> Option<(u64, u64)> {
        let mut queue = self.shared.queue();
        while queue.bytes.is_empty() && queue.untold == 0 {
            if queue.closed {
                return None;
            }
            queue.asleep = true;
            queue = self.shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.asleep = false;
        }
        std::mem::swap(&mut queue.bytes, batch);
        Some((queue.came, std::mem::take(&mut queue.untold)))
    }

    fn gather(&self) {
        let mut queue = self.shared.queue();
        if queue.flushing == 0 && !queue.closed && queue.bytes.len() <= self.shared.capacity / 2 {
            queue.gathering = true;
            queue = self.shared.wake.wait_timeout(queue, GATHER).unwrap_or_else(PoisonError::into_inner).0;
            queue.gathering = false;
        }
    }

    fn write(&mut self, batch: &[u8]) -> Result<(), Gone> {
        let mut rest = batch;
        loop {
            let result = if rest.is_empty() { self.writer.flush() } else { self.some(&mut rest) };
            match result {
                Ok(()) if rest.is_empty() => return Ok(()),
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::WriteZero) => {
                    return Err(Gone { unwritten: rest.len() });
                }
                // What is left stays whole and in its order until it can be written: a full disk may be emptied.
                Err(_) if self.shared.queue().closed => return Err(Gone { unwritten: rest.len() }),
                Err(_) => thread::sleep(AGAIN_AFTER),
            }
        }
    }

    fn some(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        match self.writer.write(rest)? {
            0 => Err(ErrorKind::WriteZero.into()),
            length => {
                *rest = &rest[length..];
                // Flushed next, where nothing is left: only then it is done.
                if rest.is_empty() { self.writer.flush() } else { Ok(()) }
            }
        }
    }
}

struct GoneOnDrop(Arc<Shared>);

impl Drop for GoneOnDrop {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        let lost = queue.bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        queue.dropped += lost;
        queue.bytes = Vec::new();
        queue.gone = true;
        self.0.settled.notify_all();
    }
}

#[cfg(test)]
mod tests;

//! A sink whose writer is slow, broken or gone.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Sink;
use crate::testing::Written;

const LONG: Duration = Duration::from_secs(60);

fn tell(out: &mut Vec<u8>, dropped: u64) {
    out.extend_from_slice(format!("dropped {dropped}\n").as_bytes());
}

/// Writes only when it is let, and says that it is asked.
struct Gate {
    asked: Sender<()>,
    let_in: Receiver<()>,
    written: Written,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.asked.send(());
        let _ = self.let_in.recv();
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_slow_writer_stops_nobody_and_what_is_dropped_is_counted_and_told() {
    let (asked, is_asked) = channel();
    let (open, let_in) = channel();
    let written = Written::default();
    let sink = Sink::new(100, Gate { asked, let_in, written: written.clone() }, tell).unwrap();
    assert!(sink.write_line(b"first"));
    // The writer has the first line, and is stuck with it.
    is_asked.recv().unwrap();
    let accepted = (0..100).filter(|number| sink.write_line(format!("line {number:04}").as_bytes())).count();
    assert_eq!((accepted, sink.dropped()), (10, 90), "ten bytes each, with the line feed");
    assert!(!sink.flush(Duration::from_millis(1)), "not written yet");
    drop(open);
    assert!(sink.flush(LONG));
    let mut lines = vec!["first".to_owned()];
    lines.extend((0..10).map(|number| format!("line {number:04}")));
    lines.push("dropped 90".to_owned());
    assert_eq!(written.text().lines().collect::<Vec<_>>(), lines);
    // Told once.
    assert!(sink.write_line(b"later") && sink.flush(LONG));
    assert!(written.text().ends_with("dropped 90\nlater\n"));
}

#[test]
fn a_line_that_never_has_room_is_told_too() {
    let written = Written::default();
    let sink = Sink::new(10, written.clone(), tell).unwrap();
    assert!(!sink.write_line(&[b'x'; 10]));
    assert!(sink.flush(LONG));
    assert_eq!(written.text(), "dropped 1\n");
}

#[test]
fn lines_of_many_threads_are_whole_and_all_there() {
    let written = Written::default();
    let sink = Sink::new(64 << 20, written.clone(), tell).unwrap();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let sink = sink.clone();
            std::thread::spawn(move || {
                (0..2_000).for_each(|number| assert!(sink.write_line(format!("{thread} {number}").as_bytes())));
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(sink.flush(LONG));
    let text = written.text();
    for thread in 0..8 {
        let own = text.lines().filter_map(|line| line.strip_prefix(&format!("{thread} ")));
        assert!(own.map(|number| number.parse::<i32>().unwrap()).eq(0..2_000), "each thread's own order is kept");
    }
    assert_eq!(text.lines().count(), 16_000);
}

#[test]
fn what_is_accepted_is_written_after_the_last_handle_is_gone() {
    struct Told(Written, Sender<()>);
    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.1.send(());
        }
    }
    let (ended, has_ended) = channel();
    let written = Written::default();
    let sink = Sink::new(1_000, Told(written.clone(), ended), tell).unwrap();
    assert!(sink.write_line(b"last"));
    drop(sink);
    has_ended.recv_timeout(LONG).unwrap();
    assert_eq!(written.text(), "last\n");
}

/// Answers each write as it is told to, and takes a few bytes at a time otherwise.
struct Answers(Arc<Mutex<Vec<ErrorKind>>>, Written, Arc<AtomicUsize>);

impl Write for Answers {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.2.fetch_add(1, Ordering::Relaxed);
        match self.0.lock().unwrap().pop() {
            Some(kind) => Err(kind.into()),
            None => self.1.write(&bytes[..bytes.len().min(3)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_fails_for_a_while_gets_everything_once() {
    let written = Written::default();
    let failures = vec![ErrorKind::StorageFull, ErrorKind::Interrupted, ErrorKind::WouldBlock];
    let sink =
        Sink::new(1_000, Answers(Arc::new(Mutex::new(failures)), written.clone(), Arc::default()), tell).unwrap();
    assert!(sink.write_line(b"one line") && sink.write_line(b"another"));
    assert!(sink.flush(LONG));
    assert_eq!((written.text().as_str(), sink.dropped()), ("one line\nanother\n", 0));
}

#[test]
fn nobody_waits_for_a_writer_that_is_gone() {
    let (written, calls) = (Written::default(), Arc::new(AtomicUsize::new(0)));
    let answers = Answers(Arc::new(Mutex::new(vec![ErrorKind::BrokenPipe])), written.clone(), calls.clone());
    let sink = Sink::new(1_000, answers, tell).unwrap();
    assert!(sink.write_line(b"lost"));
    assert!(!sink.flush(LONG));
    assert!(!sink.write_line(b"not taken") && !sink.flush(LONG));
    assert_eq!((written.text().as_str(), sink.dropped(), calls.load(Ordering::Relaxed)), ("", 2, 1));
}

#[test]
fn a_writer_that_panics_is_gone() {
    struct Panics;
    impl Write for Panics {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("a test's writer")
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let sink = Sink::new(1_000, Panics, tell).unwrap();
    assert!(sink.write_line(b"lost"));
    assert!(!sink.flush(LONG));
    assert!(!sink.write_line(b"not taken"));
}

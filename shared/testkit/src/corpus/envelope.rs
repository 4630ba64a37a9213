//! The message of a delivery as CloudWatch Logs writes it: fields in its order, event ids of 56 digits
//! that begin with the time and grow.

use std::fmt::Write as _;

use super::chance::Chance;

/// Event ids are about the time in milliseconds times 2^144, of which these are the first digits.
const ID_STEPS_A_MILLISECOND: i64 = 22_300;

/// A message that is being written.
pub(super) struct Envelope {
    text: String,
    last_millis: i64,
    /// What follows the time in an id: of the call that brought the event, and of the event in the call.
    id_ending: (u64, u64),
    /// Log events so far.
    pub(super) lines: usize,
    /// Bytes of their messages.
    pub(super) message_bytes: usize,
}

impl Envelope {
    pub(super) fn new(log_group: &str, log_stream: &str) -> Envelope {
        let text = format!(
            r#"{{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"{log_group}","logStream":"{log_stream}","subscriptionFilters":["to-log-processor"],"logEvents":["#
        );
        Envelope { text, last_millis: 0, id_ending: (0, 0), lines: 0, message_bytes: 0 }
    }

    /// Adds a log event at `millis`, which must not be earlier than the one before.
    pub(super) fn add(&mut self, chance: &mut Chance, millis: i64, message: &str) {
        // Events of one millisecond differ in the last digits of their ids only.
        let (call, event) = self.id_ending;
        self.id_ending =
            if millis == self.last_millis { (call, event + 1) } else { (chance.next(), chance.next() >> 2) };
        self.last_millis = millis;
        let (time, (call, event)) = (millis * ID_STEPS_A_MILLISECOND, self.id_ending);
        let comma = if self.lines > 0 { "," } else { "" };
        let text = Text(message);
        write!(self.text, r#"{comma}{{"id":"{time:017}{call:020}{event:019}","timestamp":{millis},"message":{text}}}"#)
            .expect("a String takes any text");
        self.lines += 1;
        self.message_bytes += message.len();
    }

    /// Bytes of the whole message if it ended here.
    pub(super) fn decoded_bytes(&self) -> usize {
        self.text.len() + 2
    }

    /// The whole message.
    pub(super) fn close(mut self) -> Vec<u8> {
        self.text.push_str("]}");
        self.text.into_bytes()
    }
}

/// A text as JSON writes it.
pub(super) struct Text<'a>(pub(super) &'a str);

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&serde_json::to_string(self.0).map_err(|_| std::fmt::Error)?)
    }
}

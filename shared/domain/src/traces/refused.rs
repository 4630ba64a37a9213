//! Lines of spans that could not be read, or that a target did not take: kept with the reason, to be sent again by
//! `ops replay`, and then only to the target that did not take them.

use serde::{Deserialize, Serialize};

use super::{Span, Target};
use crate::keys::{self, SpansPlace};
use crate::logs::archive::{self, Hours};
use crate::logs::quarantine::{Original, Quarantined};
use crate::ports::Object;

/// What was not taken, by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refusal {
    /// No span, or an object that could not be unpacked: it went nowhere.
    Unreadable,
    /// X-Ray did not take it.
    XRay,
    /// The collector did not take it.
    Otlp,
}

impl Refusal {
    const ALL: [Refusal; 3] = [Refusal::Unreadable, Refusal::XRay, Refusal::Otlp];

    /// By `target`.
    pub fn of(target: Target) -> Refusal {
        match target {
            Target::XRay => Refusal::XRay,
            Target::Otlp => Refusal::Otlp,
        }
    }

    /// Its folder under `quarantine/`.
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::Unreadable => "spans/unreadable",
            Refusal::XRay => "spans/xray",
            Refusal::Otlp => "spans/otlp",
        }
    }

    fn target(self) -> Option<Target> {
        match self {
            Refusal::Unreadable => None,
            Refusal::XRay => Some(Target::XRay),
            Refusal::Otlp => Some(Target::Otlp),
        }
    }
}

/// Something that was not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub error: String,
    /// A line, or the bytes of a whole object.
    pub original: Vec<u8>,
}

/// The object that keeps what was not taken of the spans at `place`. The same is kept at the same key.
pub fn object(place: &SpansPlace<'_>, refusal: Refusal, refused: Vec<Refused>) -> Object {
    let items = refused.into_iter().map(|refused| (refused.error, refused.original)).collect();
    Quarantined::kept(refusal.reason(), items).to_object(place.day, place.id)
}

/// What sends what is kept at the quarantine's `key` once more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Again {
    /// The lines, where trace-forwarder takes them.
    pub spans: Option<Object>,
    /// What can still not be read, to be kept instead.
    pub left: Option<Object>,
    /// How many lines are sent again.
    pub lines: usize,
}

/// Decides about an object of the quarantine whose folder begins with `spans/`. `None` for another one.
///
/// # Errors
///
/// Where somebody has changed it.
pub fn again(key: &str, held: &Quarantined) -> Option<Result<Again, base64::DecodeError>> {
    let refusal = Refusal::ALL.into_iter().find(|refusal| refusal.reason() == held.reason)?;
    Some(lines_of(key, held, refusal))
}

fn lines_of(key: &str, held: &Quarantined, refusal: Refusal) -> Result<Again, base64::DecodeError> {
    let day = key.split('/').find_map(|part| part.strip_prefix("dt=")).unwrap_or("unknown");
    let (mut lines, mut count, mut left) = (String::new(), 0, Vec::new());
    for item in &held.items {
        let original = item.original.bytes()?;
        let read = match &item.original {
            Original::Text(line) if refusal.target().is_some() || Span::parse(line).is_ok() => vec![Ok(line.clone())],
            // A whole object, if it can be unpacked by now: each of its lines for itself.
            _ => match archive::lines(&original) {
                Ok(lines) => lines
                    .into_iter()
                    .map(|line| {
                        Span::parse(&line).map(|_| line.clone()).map_err(|e| (e.to_string(), line.into_bytes()))
                    })
                    .collect(),
                Err(_) => vec![Err((item.error.clone(), original))],
            },
        };
        for line in read {
            match line {
                Ok(line) => {
                    lines.push_str(&line);
                    lines.push('\n');
                    count += 1;
                }
                Err(unread) => left.push(unread),
            }
        }
    }
    let id = keys::fingerprint([key.as_bytes(), lines.as_bytes()]);
    let to = refusal.target().map(Target::as_str);
    Ok(Again {
        spans: (count > 0).then(|| Hours::default().object(keys::spans(to, day, &id), lines.as_bytes())),
        left: (!left.is_empty()).then(|| {
            let object = Quarantined::kept(&held.reason, left).to_object(day, "");
            Object { key: key.to_owned(), ..object }
        }),
        lines: count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::archive;

    const LINE: &str = r#"{"context":{"trace_id":"1-5759e988-bd862e3fe1be46a994272793","span_id":"53995c3f42cd8ad8"},"span":{"operation_name":"x","start_time":"2026-11-22T10:05:03Z"}}"#;

    fn kept(refusal: Refusal, originals: &[&[u8]]) -> (Object, Quarantined) {
        let place = SpansPlace { to: None, day: "2026-11-22", id: "b1" };
        let refused = originals.iter().map(|original| Refused { error: "why".to_owned(), original: original.to_vec() });
        let object = object(&place, refusal, refused.collect());
        let held = serde_json::from_slice(&object.body).unwrap();
        (object, held)
    }

    #[test]
    fn what_a_target_did_not_take_goes_to_that_target_again() {
        for (refusal, folder) in
            [(Refusal::XRay, "spans/xray/"), (Refusal::Otlp, "spans/otlp/"), (Refusal::Unreadable, "spans/")]
        {
            let (object, held) = kept(refusal, &[LINE.as_bytes()]);
            assert!(
                object.key.starts_with("quarantine/spans/") && object.key.ends_with("/dt=2026-11-22/b1.json"),
                "{}",
                object.key
            );
            let again = again(&object.key, &held).unwrap().unwrap();
            let spans = again.spans.unwrap();
            assert!(spans.key.starts_with(&format!("{folder}dt=2026-11-22/")), "{}", spans.key);
            assert_eq!(archive::lines(&spans.body).unwrap(), [LINE]);
            assert_eq!((again.left, again.lines), (None, 1));
        }
    }

    #[test]
    fn what_can_still_not_be_read_stays() {
        let (object, held) = kept(Refusal::Unreadable, &[b"42", LINE.as_bytes(), &[0xff]]);
        let sent = again(&object.key, &held).unwrap().unwrap();
        let left = sent.left.unwrap();
        assert_eq!((left.key.as_str(), sent.lines), (object.key.as_str(), 1));
        let held: Quarantined = serde_json::from_slice(&left.body).unwrap();
        assert_eq!(held.items.len(), 2);
        let once_more = again(&object.key, &held).unwrap().unwrap();
        assert_eq!((once_more.spans, once_more.left), (None, Some(left)));
    }

    #[test]
    fn a_whole_object_that_can_be_unpacked_by_now_is_sent_line_by_line() {
        let whole = Hours::default().object("k".to_owned(), format!("{LINE}\n42\n").as_bytes()).body;
        let (object, held) = kept(Refusal::Unreadable, &[&whole]);
        let sent = again(&object.key, &held).unwrap().unwrap();
        assert_eq!(archive::lines(&sent.spans.unwrap().body).unwrap(), [LINE]);
        let held: Quarantined = serde_json::from_slice(&sent.left.unwrap().body).unwrap();
        assert_eq!((held.items.len(), held.items[0].original.bytes().unwrap()), (1, b"42".to_vec()));
    }

    #[test]
    fn another_object_of_the_quarantine_is_not_looked_at() {
        assert_eq!(again("quarantine/gzip/dt=unknown/x.json", &Quarantined::kept("gzip", vec![])), None);
    }
}

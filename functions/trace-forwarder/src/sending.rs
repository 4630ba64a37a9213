//! Spans to one target. What it will never take is told apart from what it does not take now.

use std::time::Duration;

use aws::measures;
use domain::ports::{ExportSpans, PortError, PutSegments, Retry, Unprocessed};
use domain::traces::{Span, otlp, xray};

/// How often a document is put that X-Ray does not process.
const ATTEMPTS: u32 = 3;

/// How many are refused alone, where nothing was taken yet, until it is plain that it is not about one of them: the rest
/// is refused as a whole, or finding out would take two calls a span.
const ALONE: usize = 8;

/// What became of spans at one target.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// How many it has taken.
    pub(crate) taken: usize,
    /// Places of spans that it will never take, each with the reason.
    pub(crate) refused: Vec<(usize, String)>,
    /// Why the others are to be sent again.
    pub(crate) failure: Option<anyhow::Error>,
}

impl Sent {
    fn refuse(&mut self, spans: &[usize], reason: &str) {
        self.refused.extend(spans.iter().map(|span| (*span, reason.to_owned())));
    }

    /// Whether halves are still worth trying.
    fn is_hopeless(&self) -> bool {
        self.taken == 0 && self.refused.len() >= ALONE
    }
}

/// A call that is still to be made: which documents, and for the how many-th time.
struct Call<'d> {
    documents: Vec<&'d xray::Document>,
    attempt: u32,
}

impl<'d> Call<'d> {
    /// Halves, by which a document is found that X-Ray does not name.
    fn halves(mut self) -> [Call<'d>; 2] {
        let second = self.documents.split_off(self.documents.len() / 2);
        [Call { documents: second, attempt: self.attempt }, self]
    }
}

/// Puts `spans` to X-Ray. Before a document that was not processed is put again there is a `pause`, then twice of it.
pub(crate) async fn to_xray(xray: &impl PutSegments, spans: &[Span], pause: Duration) -> Sent {
    let documents = xray::documents(spans);
    let mut sent = Sent::default();
    let calls = xray::calls(&documents).into_iter().rev();
    let mut left: Vec<Call<'_>> =
        calls.map(|call| Call { documents: documents[call].iter().collect(), attempt: 1 }).collect();
    while let Some(call) = left.pop() {
        let texts: Vec<&str> = call.documents.iter().map(|document| document.json.as_str()).collect();
        let unprocessed = match xray.put_segments(&texts).await {
            Ok(unprocessed) => unprocessed,
            Err(error) if error.retry == Retry::Permanent => {
                if call.documents.len() > 1 && !sent.is_hopeless() {
                    left.extend(call.halves());
                    continue;
                }
                let reason = told(error);
                for document in call.documents {
                    sent.refuse(&document.spans, &reason);
                }
                continue;
            }
            Err(error) => {
                // What is not put yet would fare no better.
                sent.failure = Some(error.into());
                return sent;
            }
        };
        let named = |unprocessed: &Unprocessed| {
            let id = unprocessed.id.as_deref();
            call.documents.iter().any(|document| id == Some(document.id.to_string().as_str()))
        };
        if call.documents.len() > 1 && !unprocessed.iter().all(named) {
            left.extend(call.halves());
            continue;
        }
        let trouble_of = |document: &xray::Document| {
            let is_it = |other: &&Unprocessed| other.id.as_deref() == Some(document.id.to_string().as_str());
            // Of one document alone it is the trouble, whatever it is called.
            let only = (call.documents.len() == 1).then(|| unprocessed.first()).flatten();
            unprocessed.iter().find(is_it).or(only)
        };
        let (failed, taken): (Vec<&xray::Document>, Vec<&xray::Document>) =
            call.documents.iter().copied().partition(|document| trouble_of(document).is_some());
        sent.taken += taken.iter().map(|document| document.spans.len()).sum::<usize>();
        if failed.is_empty() {
            continue;
        }
        if call.attempt < ATTEMPTS {
            tokio::time::sleep(pause * 2_u32.pow(call.attempt - 1)).await;
            measures::tried_again(1);
            left.push(Call { documents: failed, attempt: call.attempt + 1 });
            continue;
        }
        for document in failed {
            let Some(trouble) = trouble_of(document) else { continue };
            let reason = format!("X-Ray did not process it: {} {}", trouble.code, trouble.message);
            if xray::is_passing(&trouble.code) {
                sent.failure = Some(anyhow::anyhow!(reason));
            } else {
                sent.refuse(&document.spans, reason.trim_end());
            }
        }
    }
    sent
}

/// Sends those of `spans` that have ended to a collector. A request that it refuses is halved, until the span is alone
/// that it is refused for.
pub(crate) async fn to_collector(collector: &impl ExportSpans, spans: &[Span]) -> Sent {
    let mut sent = Sent::default();
    let mut left: Vec<otlp::Request> = otlp::requests(spans).into_iter().rev().collect();
    while let Some(request) = left.pop() {
        match collector.export(&request.body).await {
            Ok(answer) if answer.rejected == 0 => {
                if !answer.message.is_empty() {
                    tracing::warn!(message = answer.message, "the collector has something to say");
                }
                sent.taken += request.spans.len();
            }
            Ok(answer) => {
                // It does not say which, so that all are kept; what it took it gets again if they are replayed.
                let (rejected, all) = (answer.rejected, request.spans.len());
                let others = if rejected < all as u64 { ", it has taken the others" } else { "" };
                let reason =
                    format!("the collector rejected {rejected} of these {all} spans{others}: {}", answer.message);
                sent.taken += all.saturating_sub(usize::try_from(rejected).unwrap_or(usize::MAX));
                sent.refuse(&request.spans, &reason);
            }
            Err(error) if error.retry == Retry::Permanent => match request.spans.len() {
                alone if alone == 1 || sent.is_hopeless() => sent.refuse(&request.spans, &told(error)),
                _ => left.extend(otlp::halves(spans, &request).into_iter().rev()),
            },
            Err(error) => {
                sent.failure = Some(error.into());
                return sent;
            }
        }
    }
    sent
}

fn told(error: PortError) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

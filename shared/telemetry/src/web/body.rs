//! The body of an answer, watched until it has ended.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body as HttpBody, Frame, SizeHint};

use super::Exchange;

pin_project_lite::pin_project! {
    /// The body of an answer. The request has ended when it has; let go before, its client has gone.
    pub struct Body<B> {
        #[pin]
        inner: B,
        exchange: Option<Exchange>,
    }
}

impl<B: HttpBody> Body<B> {
    pub(super) fn new(inner: B, mut exchange: Option<Exchange>) -> Body<B> {
        let nothing_to_come = inner.is_end_stream() || exchange.as_ref().is_some_and(Exchange::has_no_body);
        if nothing_to_come && let Some(mut exchange) = exchange.take() {
            exchange.end();
        }
        Body { inner, exchange }
    }
}

impl<B> fmt::Debug for Body<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl<B> HttpBody for Body<B>
where
    B: HttpBody,
    B::Error: fmt::Display,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = {
            let _in = this.exchange.as_ref().map(|exchange| exchange.span.enter());
            ready!(this.inner.as_mut().poll_frame(context))
        };
        match &frame {
            // Who sends it may not ask again after the last frame.
            Some(Ok(_)) if !this.inner.is_end_stream() => {}
            Some(Ok(_)) | None => {
                if let Some(mut exchange) = this.exchange.take() {
                    exchange.end();
                }
            }
            Some(Err(error)) => {
                if let Some(mut exchange) = this.exchange.take() {
                    exchange.fail(error);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

//! The body of an answer, watched until it has ended.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::Exchange;

pin_project_lite::pin_project! {
    /// The body of an answer. The request has ended when it has; let go before, its client has gone.
    pub struct Body<B> {
        // There until it is dropped: it is taken out within the span, so that what it lets go is part of it.
        #[pin]
        inner: Option<B>,
        exchange: Option<Exchange>,
        // How many bytes are still to come, where that is known.
        left: Option<u64>,
    }

    impl<B> PinnedDrop for Body<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _in = this.exchange.as_ref().map(|exchange| exchange.span.clone().entered());
            this.inner.set(None);
        }
    }
}

impl<B: HttpBody> Body<B> {
    /// `length` is what the answer's head says of it.
    pub(super) fn new(inner: B, length: Option<u64>, mut exchange: Option<Exchange>) -> Body<B> {
        let left = length.or_else(|| inner.size_hint().exact());
        let nothing_to_come = inner.is_end_stream() || left == Some(0);
        if let Some(exchange) = &mut exchange
            && (nothing_to_come || exchange.has_no_body())
        {
            exchange.end();
        }
        Body { inner: Some(inner), exchange, left }
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
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let Some(exchange) = this.exchange else { return inner.poll_frame(context) };
        let frame = ready!(exchange.within(|| inner.as_mut().poll_frame(context)));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    *this.left = this.left.map(|left| left.saturating_sub(data.remaining() as u64));
                }
                // Who sends it does not ask again after the last frame: nothing follows trailers, and of a body whose
                // length was announced no more than that is sent.
                if frame.is_trailers() || *this.left == Some(0) || inner.is_end_stream() {
                    exchange.end();
                }
            }
            None => exchange.end(),
            Some(Err(error)) => exchange.fail(error),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

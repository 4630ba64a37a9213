//! A future within a span, which tells where it was given up.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::Span;

use schema::trace::SpanStatus;

pin_project! {
    /// What [`traced`] gives.
    #[derive(Debug)]
    pub struct Traced<F> {
        #[pin]
        // Taken out within the span, so that what it drops is part of it.
        inner: Option<F>,
        span: Span,
        done: bool,
    }

    impl<F> PinnedDrop for Traced<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if !*this.done {
                super::set_status_if_unset(this.span, SpanStatus::Cancelled);
            }
            this.span.in_scope(|| this.inner.set(None));
        }
    }
}

/// The future, in `span` wherever it is polled. Where it is dropped before it is done, the span's status is
/// `cancelled`.
pub fn traced<F: Future>(span: Span, future: F) -> Traced<F> {
    Traced { inner: Some(future), span, done: false }
}

impl<F: Future> Future for Traced<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.span.enter();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Pending };
        let result = inner.poll(context);
        *this.done = result.is_ready();
        result
    }
}

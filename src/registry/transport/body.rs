//! The body of a request, piece by piece as the connection takes them.

use super::worker::Event;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Pieces that are asked for before the first is taken.
const AHEAD: usize = 3;

/// A body of known length that asks for its pieces one by one.
pub(super) struct Upload {
    left: u64,
    pieces: UnboundedReceiver<Bytes>,
    /// Behind a lock only because bodies are shared between threads; one thread uses it.
    events: Mutex<Sender<Event>>,
}

impl Upload {
    /// A body of `length` bytes and where its pieces are handed in.
    pub(super) fn new(length: u64, events: Sender<Event>) -> (UnboundedSender<Bytes>, Self) {
        let (sender, pieces) = unbounded_channel();
        let upload = Self {
            left: length,
            pieces,
            events: Mutex::new(events),
        };
        for _ in 0..AHEAD {
            upload.want();
        }
        (sender, upload)
    }

    fn want(&self) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a caller the body ends by itself.
        let _nobody_waits = events.send(Event::Wanted);
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        match self.pieces.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(piece)) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                self.want();
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Poll::Ready(None) => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

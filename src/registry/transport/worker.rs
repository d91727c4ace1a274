//! The worker: the thread in which all connections live, started by the first request.

use super::TransportError;
use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};

/// A request, and who waits for its events.
pub(super) struct Job {
    pub(super) request: RequestBuilder,
    pub(super) events: Sender<Event>,
    /// A permit for each piece that may wait for the caller.
    pub(super) credit: Arc<Semaphore>,
    /// Closed when the caller goes away.
    pub(super) unwanted: oneshot::Receiver<()>,
}

/// What happens in an exchange.
pub(super) enum Event {
    /// The next piece of the request's body is wanted.
    Wanted,
    /// The answer begins.
    Head(StatusCode, Box<HeaderMap>),
    /// A piece of the answer's body.
    Piece(Bytes),
    /// That was all.
    Ended,
    /// There is no more.
    Failed(reqwest::Error),
}

/// The thread; it ends when this is dropped.
pub(super) struct Worker {
    jobs: UnboundedSender<Job>,
}

impl Worker {
    pub(super) fn start() -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let (jobs, received) = unbounded_channel();
        thread::Builder::new()
            .name("registry".to_owned())
            .spawn(move || runtime.block_on(work(received)))
            .map_err(|error| error.to_string())?;
        Ok(Self { jobs })
    }

    pub(super) fn run(&self, job: Job) -> Result<(), TransportError> {
        let ended = |_| TransportError::Start("its thread has ended".to_owned());
        self.jobs.send(job).map_err(ended)
    }
}

async fn work(mut jobs: UnboundedReceiver<Job>) {
    while let Some(job) = jobs.recv().await {
        tokio::spawn(exchange(job));
    }
}

async fn exchange(job: Job) {
    let Job {
        request,
        events,
        credit,
        mut unwanted,
    } = job;
    let answer = tokio::select! {
        answer = request.send() => answer,
        _ = &mut unwanted => return,
    };
    let mut response = match answer {
        Ok(response) => response,
        Err(error) => return tell(&events, Event::Failed(error)),
    };
    let headers = Box::new(std::mem::take(response.headers_mut()));
    tell(&events, Event::Head(response.status(), headers));
    loop {
        // What is there already is taken even if nobody wants it, so that the connection of a
        // short answer can be used again.
        let event = tokio::select! {
            biased;
            piece = response.chunk() => match piece {
                Ok(Some(piece)) => Event::Piece(piece),
                Ok(None) => return tell(&events, Event::Ended),
                Err(error) => return tell(&events, Event::Failed(error)),
            },
            _ = &mut unwanted => return,
        };
        tokio::select! {
            biased;
            permit = credit.acquire() => match permit {
                Ok(permit) => permit.forget(),
                Err(_) => return,
            },
            _ = &mut unwanted => return,
        }
        tell(&events, event);
    }
}

fn tell(events: &Sender<Event>, event: Event) {
    // Who asked may be gone.
    let _nobody_waits = events.send(event);
}

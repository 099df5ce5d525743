//! What one viewer may take of what all share: requests a second and at once, pages of the history at once, streams, tickets.
//!
//! A request beyond the pace waits for its turn, and gets 429 only where that would take long; a client that repeats its
//! requests without a pause is slowed down instead of filling the log with refusals. A response counts as under way until it is
//! sent, so that a viewer who does not read holds no more than a few in memory.
//!
//! An API token and local mode stand for a whole company: only their pages of the history are limited.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use governor::{DefaultKeyedRateLimiter, Quota};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Sleep, sleep, timeout};

use crate::http::error::ApiError;
use crate::hub::MOST_VIEWERS;
use crate::store::StoreError;
use crate::viewer::Viewer;

/// Requests of one viewer that are answered at the same time: a page asks for six things when it opens.
const AT_ONCE: usize = 8;
/// The same for an API token: a backend that asks for a whole company.
const SHARED_AT_ONCE: usize = 256;
/// Pages of the history that are read or sent to one viewer at the same time.
const PAGES_AT_ONCE: usize = 2;
/// After a page is read the next one of this viewer waits so many times what that took: whatever they look for, they have a
/// quarter of one reader's time.
const REST: u32 = 3;
/// It waits no longer than this.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// Open streams of one viewer: tabs share one, so these are browsers, devices and pages of other programs.
const STREAMS: usize = 50;
/// Requests of one viewer a second, over a longer time.
const EVERY: Duration = Duration::from_millis(20);
/// Requests that may come together: a restored browser window with twenty tabs.
const BURST: NonZeroU32 = NonZeroU32::new(200).expect("not zero");
/// Tickets of one viewer over a longer time: each is worth one stream, and is stored for 30 seconds.
const TICKET_EVERY: Duration = Duration::from_millis(500);
/// Tickets that may be asked for together.
const TICKET_BURST: NonZeroU32 = NonZeroU32::new(2 * STREAMS as u32).expect("not zero");
/// A request waits no longer than this for its turn, and one that is refused is answered after it.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// What hyper keeps of a response beside its own buffer. A response up to this size is not counted until it is sent.
const CHUNK: usize = 16 * 1024;
/// A response that is not sent by then is given up, with its connection.
const SENT_WITHIN: Duration = Duration::from_secs(30);
/// Viewers remembered before those are forgotten who have nothing under way.
const REMEMBERED_VIEWERS: usize = 1_000;

/// The shares of all viewers. Cheap to clone.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    shares: Mutex<Shares>,
    paces: Arc<Paces>,
}

#[derive(Default)]
struct Shares {
    by_viewer: HashMap<String, Arc<Share>>,
    sweep_at: usize,
}

/// How often something may happen, by viewer.
struct Paces {
    requests: DefaultKeyedRateLimiter<String>,
    tickets: DefaultKeyedRateLimiter<String>,
}

/// What one viewer has left.
pub struct Share {
    at_once: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    /// One permit, for a person's page that is read in the store.
    reading: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// Permits for requests at once and streams when all are free.
    most: [usize; 2],
    /// The viewer's id, and the limits on how often; `None`: as often as they like.
    pace: Option<(String, Arc<Paces>)>,
}

/// What a response holds until it is sent.
#[derive(Clone)]
pub struct Page(#[expect(dead_code, reason = "held until dropped")] Arc<OwnedSemaphorePermit>);

impl Limits {
    /// All shares are whole.
    pub fn new() -> Self {
        let every = |time| Quota::with_period(time).expect("the time is not zero");
        let requests = DefaultKeyedRateLimiter::keyed(every(EVERY).allow_burst(BURST));
        let tickets = DefaultKeyedRateLimiter::keyed(every(TICKET_EVERY).allow_burst(TICKET_BURST));
        Self(Arc::new(Inner { shares: Mutex::default(), paces: Arc::new(Paces { requests, tickets }) }))
    }

    /// The share of this viewer, the same for all of their tabs and devices.
    pub fn of(&self, viewer: &Viewer) -> Arc<Share> {
        let mut shares = self.0.shares.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(share) = shares.by_viewer.get(&viewer.id) {
            return share.clone();
        }
        if shares.by_viewer.len() >= shares.sweep_at.max(REMEMBERED_VIEWERS) {
            shares.by_viewer.retain(|_, share| Arc::strong_count(share) > 1 || !share.is_whole());
            shares.sweep_at = shares.by_viewer.len() * 2;
            self.0.paces.requests.retain_recent();
            self.0.paces.tickets.retain_recent();
        }
        let share = Arc::new(Share::of(viewer, &self.0.paces));
        shares.by_viewer.insert(viewer.id.clone(), share.clone());
        share
    }
}

impl Share {
    fn of(viewer: &Viewer, paces: &Arc<Paces>) -> Self {
        let is_shared = viewer.id == "local" || viewer.id.starts_with("token-");
        let most = if is_shared { [SHARED_AT_ONCE, MOST_VIEWERS] } else { [AT_ONCE, STREAMS] };
        let [at_once, streams] = most.map(|most| Arc::new(Semaphore::new(most)));
        let [pages, reading] = [PAGES_AT_ONCE, 1].map(|most| Arc::new(Semaphore::new(most)));
        let pace = (!is_shared).then(|| (viewer.id.clone(), paces.clone()));
        Self { at_once, pages, reading, streams, most, pace }
    }

    /// Whether nothing is under way.
    fn is_whole(&self) -> bool {
        let free = [&self.at_once, &self.streams].map(|it| it.available_permits());
        let pages = [&self.pages, &self.reading].map(|it| it.available_permits());
        free == self.most && pages == [PAGES_AT_ONCE, 1]
    }

    /// Waits for this viewer's turn. The permit lasts as long as their request is under way.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        if let Some((viewer, paces)) = &self.pace {
            timeout(LONGEST_WAIT, paces.requests.until_key_ready(viewer)).await.map_err(|_| too_many())?;
        }
        acquire(&self.at_once).await
    }

    /// The same for a page of the history, and reads it: in a task, because a store reads on when a client does not wait.
    pub async fn page<T: Send + 'static>(
        &self,
        read: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<(T, Page), ApiError> {
        let page = Page(Arc::new(acquire(&self.pages).await?));
        let reading = match self.pace {
            Some(_) => Some(acquire(&self.reading).await?),
            None => None,
        };
        let (sender, answer) = oneshot::channel();
        tokio::spawn(async move {
            let begun = Instant::now();
            // The client may have gone.
            let _ = sender.send(read.await);
            if reading.is_some() {
                sleep((begun.elapsed() * REST).min(LONGEST_REST)).await;
            }
        });
        Ok((answer.await.unwrap_or(Err(StoreError::Closed))?, page))
    }

    /// A place for one more stream, if there is one.
    pub fn stream(&self) -> Option<OwnedSemaphorePermit> {
        self.streams.clone().try_acquire_owned().ok()
    }

    /// Whether one more ticket may be handed out.
    pub(super) fn ticket(&self) -> Result<(), ApiError> {
        let may = |(viewer, paces): &(String, Arc<Paces>)| paces.tickets.check_key(viewer).is_ok();
        if self.pace.as_ref().is_none_or(may) { Ok(()) } else { Err(too_many()) }
    }
}

async fn acquire(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    match timeout(LONGEST_WAIT, permits.clone().acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(too_many()),
    }
}

fn too_many() -> ApiError {
    ApiError::too_many("You ask for more at once than one viewer may. Wait a moment.")
}

/// Keeps a permit, and the [`Page`] that a handler put into the response's extensions, until the response is sent.
pub(super) fn until_sent(mut response: Response, permit: OwnedSemaphorePermit) -> Response {
    let fits = response.body().size_hint().exact().is_some_and(|size| size <= CHUNK as u64);
    let page = response.extensions_mut().remove::<Page>();
    if fits {
        return response;
    }
    response.map(|body| {
        let until = Box::pin(sleep(SENT_WITHIN));
        Body::new(Sent { body, rest: Bytes::new(), until, _permit: permit, _page: page })
    })
}

/// A body that is handed to hyper in chunks, so that what is not sent yet stays here.
struct Sent {
    body: Body,
    rest: Bytes,
    until: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
    _page: Option<Page>,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.until.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new("the response was not read in time"))));
        }
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let size = self.rest.len().min(CHUNK);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        body.upper().into_iter().for_each(|upper| hint.set_upper(upper + rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use crate::viewer::Scope;

    use super::*;

    #[tokio::test]
    async fn viewers_with_nothing_under_way_are_forgotten() {
        let limits = Limits::new();
        let viewer = |n: usize| Viewer { id: format!("user-{n}"), scope: Scope::All, until: None };
        let stream = limits.of(&viewer(0)).stream().unwrap();
        for n in 0..10 * REMEMBERED_VIEWERS {
            limits.of(&viewer(n));
        }
        assert!(limits.0.shares.lock().unwrap().by_viewer.len() <= 2 * REMEMBERED_VIEWERS);
        let left = (0..).map_while(|_| limits.of(&viewer(0)).stream().map(std::mem::forget)).count();
        assert_eq!(left, STREAMS - 1, "an open stream is not forgotten");
        drop(stream);
    }
}

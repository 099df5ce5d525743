//! Streams, once they are open: a few threads that each hold many sockets.
//!
//! A stream through hyper's body costs a task, two 8 KiB buffers and about 4 µs more a frame than the bytes need. So the
//! accept loop takes the socket over from hyper after the request's head ([`super::serve`]), and from then on a viewer
//! is a [`Connection`]: a socket, a cursor into the hub's log and whatever the socket did not take yet. A thread wakes when the
//! log grows, asks the hub once for a batch of connections, and writes; nearly always everyone gets the same bytes. They are
//! threads of their own, and no tasks among the others, so that writing to ten thousand sockets holds up no webhook, and a
//! webhook in the midst of its way through the database driver holds up no popup.
//!
//! A socket that takes no more keeps its connection but is sent nothing new until it has taken the rest, so nobody's memory
//! grows; when it comes back the hub answers with the log or with `resync`. After [`STALLED`] it is closed. One that is
//! well ends after [`LIFETIME`] and its viewer opens another, which resumes where it stopped.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::{Buf, Bytes};
use chrono::Utc;
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::task::TaskTracker;

use super::auth::revoked_sessions::SessionHandle;
use super::connection_limit::ConnectionPermit;
use crate::fatal_panic;
use crate::hub::{Closing, Cursor, FrameCache, Hub, closing_frame};

/// Seats asked for at a time: the hub is not kept from a change for longer than that takes.
const BATCH: usize = 64;
/// The clock that heartbeats, stalled sockets and closed ones are looked after by.
const BEAT: Duration = Duration::from_millis(100);
/// A viewer with a call on screen still hears from us this often.
const LONGEST_SILENCE: Duration = Duration::from_secs(14);
/// A socket that takes nothing for so long is closed.
const STALLED: Duration = Duration::from_secs(25);
/// What the system keeps for a viewer who is slow to read. It would keep up to 4 MiB by itself, which is 70 GiB for
/// everybody; a popup is 1 KiB.
const SEND_BUFFER: usize = 32 * 1024;
/// How long a stream lasts before its viewer is sent for a new one, which the load balancer may place elsewhere: no instance
/// keeps everybody for ever, and nobody keeps a line that a proxy or a changed right would have ended. Spread, so that
/// those who came together do not leave together.
pub const LIFETIME: Range<Duration> = Duration::from_secs(2 * 3_600)..Duration::from_secs(4 * 3_600);
/// At shutdown, streams end spread over this, so that not everyone comes back at once.
const DRAIN: Duration = Duration::from_millis(1_000);

const SIGNED_OUT: Closing = Closing::Refused("signed_out", "Your sign-in has ended. Sign in again to see calls.");
const RESTARTING: Closing = Closing::Restarting("shutting_down", "The service is restarting.");

/// Everyone who has a stream.
#[derive(Clone)]
pub struct SseWriters(Arc<Shared>);

struct Shared {
    threads: Vec<mpsc::UnboundedSender<Accepted>>,
    next: AtomicUsize,
    lifetime: Range<Duration>,
    tracker: TaskTracker,
    closing: watch::Sender<bool>,
}

/// A viewer with an open stream.
pub struct Connection {
    socket: TcpStream,
    cursor: Cursor,
    /// What the socket has not taken yet.
    rest: Bytes,
    /// What comes after that when a stream opens: others may share it.
    then: Bytes,
    stalled_since: Option<Instant>,
    /// The line broke: nothing more is to be told.
    broken: bool,
    last_word: Instant,
    old_at: Instant,
    session_handle: Option<SessionHandle>,
    _place: OwnedSemaphorePermit,
    _permit: ConnectionPermit,
}

/// A viewer on their way to a writer, with their socket let go by the runtime that accepted it.
struct Accepted {
    socket: std::net::TcpStream,
    handoff: StreamHandoff,
    permit: ConnectionPermit,
    old_at: Instant,
}

/// A stream that a handler opened, on its way to a writer.
pub struct StreamHandoff {
    /// Where the viewer is.
    pub cursor: Cursor,
    /// The response's head and the first frames.
    pub bytes: Bytes,
    /// More of these, which others may share.
    pub rest: Bytes,
    /// The session they came with; the stream ends with it.
    pub session_handle: Option<SessionHandle>,
    /// One of the streams that this viewer may have.
    pub place: OwnedSemaphorePermit,
}

impl SseWriters {
    /// Starts the threads; viewers hear a heartbeat every `pace` while nothing is on their screen, and their streams last
    /// for a random time of `lifetime`. Fails where the system gives no more threads.
    pub fn start(hub: Hub, pace: Duration, lifetime: Range<Duration>) -> io::Result<Self> {
        Self::with(hub, pace, lifetime, |number, writer| {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            thread::Builder::new().name(format!("viewers-{number}")).spawn(move || runtime.block_on(writer)).map(drop)
        })
    }

    /// The same with a runtime of the caller's choice for each writer.
    fn with(
        hub: Hub,
        pace: Duration,
        lifetime: Range<Duration>,
        begin: impl Fn(u32, BoxFuture<'static, ()>) -> io::Result<()>,
    ) -> io::Result<Self> {
        // However rarely the store is polled, proxies close what is silent.
        let pace = pace.min(LONGEST_SILENCE);
        let (closing, _) = watch::channel(false);
        let tracker = TaskTracker::new();
        let count = thread::available_parallelism().map_or(2, |cores| cores.get().min(4) as u32);
        let threads = (0..count)
            .map(|number| {
                let (sender, accepted) = mpsc::unbounded_channel();
                let writer = WriterThread {
                    number,
                    of: count,
                    hub: hub.clone(),
                    connections: Vec::new(),
                    pace,
                    beat: 0,
                    measured: hub.head(),
                    told: FrameCache::default(),
                };
                let writer = tracker
                    .track_future(fatal_panic::task("writer to viewers", writer.run(accepted, closing.subscribe())));
                begin(number, Box::pin(writer))?;
                Ok(sender)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self(Arc::new(Shared { threads, next: AtomicUsize::new(0), lifetime, tracker, closing })))
    }

    /// Hands an open stream over.
    pub fn accept(&self, socket: TcpStream, handoff: StreamHandoff, permit: ConnectionPermit) {
        // A system that does not let us bounds it by itself.
        let _ = socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER);
        let old_at = Instant::now() + rand::random_range(self.0.lifetime.clone());
        let Ok(socket) = socket.into_std() else { return };
        let writer = self.0.next.fetch_add(1, Ordering::Relaxed) % self.0.threads.len();
        // The writer ends only after it has closed every connection, and then this one is closed by being dropped.
        let _ = self.0.threads[writer].send(Accepted { socket, handoff, permit, old_at });
    }

    /// Ends every stream, a few at a time, and returns when all have ended.
    pub async fn close(&self) {
        self.0.closing.send_replace(true);
        self.0.tracker.close();
        self.0.tracker.wait().await;
    }
}

/// One thread's connections.
struct WriterThread {
    number: u32,
    /// How many there are.
    of: u32,
    hub: Hub,
    connections: Vec<Connection>,
    pace: Duration,
    beat: usize,
    /// The log's position up to which latencies were observed.
    measured: u64,
    told: FrameCache,
}

impl WriterThread {
    async fn run(mut self, mut accepted: mpsc::UnboundedReceiver<Accepted>, mut closing: watch::Receiver<bool>) {
        let mut head = self.hub.head_changes();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(accepted_stream) = accepted.recv() => {
                    if self.connections.is_empty() {
                        // What changed meanwhile reached no connection here.
                        self.measured = *head.borrow_and_update();
                    }
                    let Ok(mut connection) = Connection::take(accepted_stream) else { continue };
                    // The runtime learns only now that a socket new to it can be written to.
                    tokio::task::yield_now().await;
                    connection.flush();
                    // What happened between the handoff and now is sent at once.
                    let news = self.hub.viewer_status(&connection.cursor).behind;
                    self.connections.push(connection);
                    if news {
                        self.tell(self.connections.len() - 1);
                    }
                }
                // A writer without connections sleeps on: waking it for each change took a quarter of the webhooks a second.
                changed = head.changed(), if !self.connections.is_empty() => match changed {
                    Ok(()) => {
                        let told = *head.borrow_and_update();
                        self.tell(0);
                        self.measure(told);
                    }
                    Err(_) => break,
                },
                _ = beat.tick() => self.tick(),
                _ = closing.changed() => break,
            }
        }
        while let Ok(accepted_stream) = accepted.try_recv() {
            self.connections.extend(Connection::take(accepted_stream));
        }
        self.drain().await;
    }

    /// Sends pending frames to every connection from `from` on that can take it.
    fn tell(&mut self, from: usize) {
        let mut news = Vec::with_capacity(BATCH);
        for batch in self.connections[from..].chunks_mut(BATCH) {
            let mut free: Vec<&mut Connection> = batch.iter_mut().filter(|connection| connection.is_free()).collect();
            let cursors = free.iter_mut().map(|connection| &mut connection.cursor);
            self.hub.pending_frames(cursors, &mut self.told, |index, frames| news.push((index, frames)));
            if news.is_empty() {
                continue;
            }
            self.hub.metrics().deliveries.inc_by(news.len() as u64);
            let now = Instant::now();
            for (index, frames) in news.drain(..) {
                free[index].write(frames, now);
            }
            // Other threads that wait for this core go first: a webhook or, on the same machine, the reader of what was written.
            // Where others keep every core busy, the last viewers wait a third longer for it.
            thread::yield_now();
        }
    }

    /// What was told up to here has reached the sockets; without connections it reached none.
    fn measure(&mut self, told: u64) {
        let from = std::mem::replace(&mut self.measured, told);
        if !self.connections.is_empty() {
            self.hub.measure(from, told);
        }
    }

    /// Looks after the connections whose turn it is; each has one turn in `pace`, so heartbeats are spread evenly. Those whose
    /// sign-in has ended go at once, those who signed out when it is their turn.
    fn tick(&mut self) {
        let turns = (self.pace.as_millis() / BEAT.as_millis()).max(1) as usize;
        self.beat = (self.beat + 1) % turns;
        let (now, today) = (Instant::now(), Utc::now());
        let heartbeat = self.hub.heartbeat();
        let mut revived = false;
        for index in (0..self.connections.len()).rev() {
            let connection = &mut self.connections[index];
            if !connection.rest.is_empty() {
                connection.flush();
                revived |= connection.is_free();
            }
            if index % turns == self.beat && connection.is_free() {
                let quiet = now.duration_since(connection.last_word);
                let status = self.hub.viewer_status(&connection.cursor);
                if quiet + self.pace > LONGEST_SILENCE || (!status.has_calls && quiet >= self.pace / 2) {
                    connection.write(heartbeat.of(&connection.cursor), now);
                }
            }
            let signed_out =
                index % turns == self.beat && connection.session_handle.as_ref().is_some_and(SessionHandle::is_over);
            if signed_out || connection.cursor.viewer().until.is_some_and(|until| until <= today) {
                let names = connection.cursor.names();
                connection.write(closing_frame(names, SIGNED_OUT), now);
                self.connections.swap_remove(index);
                continue;
            }
            // A client that reads a little now and then is never stalled, and gets no last frame.
            if connection.old_at <= now && (connection.rest.is_empty() || connection.old_at + STALLED <= now) {
                let names = connection.cursor.names();
                connection.write(closing_frame(names, Closing::Renewal), now);
                self.connections.swap_remove(index);
                continue;
            }
            let stalled = connection.stalled_since.is_some_and(|since| now.duration_since(since) > STALLED);
            if stalled {
                self.hub.metrics().stalled.inc();
            }
            if stalled || connection.broken || (index % turns == self.beat && connection.has_left()) {
                self.connections.swap_remove(index);
            }
        }
        // Those who stood still and can take something again have missed what was told meanwhile.
        if revived {
            self.tell(0);
        }
    }

    /// Ends every stream, spread over [`DRAIN`].
    async fn drain(mut self) {
        let start = Instant::now();
        let count = self.connections.len() as u32 * self.of;
        // The threads take turns, so a few are spread as well as many.
        for (turn, mut connection) in (self.number..).step_by(self.of as usize).zip(self.connections.drain(..)) {
            sleep_until(start + DRAIN * turn / count).await;
            let names = connection.cursor.names();
            connection.write(closing_frame(names, RESTARTING), start);
        }
    }
}

impl Connection {
    /// Takes a stream over; to be called where the writer runs, whose thread wakes for this socket from now on.
    fn take(accepted_stream: Accepted) -> io::Result<Self> {
        let Accepted { socket, handoff, permit, old_at } = accepted_stream;
        let StreamHandoff { cursor, bytes: rest, rest: then, session_handle, place } = handoff;
        let (socket, last_word) = (TcpStream::from_std(socket)?, Instant::now());
        Ok(Self {
            socket,
            cursor,
            rest,
            then,
            stalled_since: None,
            broken: false,
            last_word,
            old_at,
            session_handle,
            _place: place,
            _permit: permit,
        })
    }

    /// Whether it can be sent something new.
    fn is_free(&self) -> bool {
        self.rest.is_empty() && !self.broken
    }

    fn write(&mut self, frames: Bytes, now: Instant) {
        if self.is_free() {
            self.rest = frames;
            self.last_word = now;
            self.flush();
        }
    }

    /// Gives the socket what it takes of the rest.
    fn flush(&mut self) {
        while !self.rest.is_empty() {
            match self.socket.try_write(&self.rest) {
                Ok(taken) => {
                    self.rest.advance(taken);
                    if self.rest.is_empty() {
                        self.rest = std::mem::take(&mut self.then);
                    }
                    self.stalled_since = None;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stalled_since.get_or_insert_with(Instant::now);
                    return;
                }
                // The next beat removes it. It must not be taken for one that reads again: what it missed would be put
                // together for nobody.
                Err(_) => {
                    (self.rest, self.then) = (Bytes::new(), Bytes::new());
                    self.broken = true;
                    return;
                }
            }
        }
    }

    /// Whether the other side hung up. Viewers have nothing to say, so whatever else they send is dropped.
    fn has_left(&self) -> bool {
        let mut ignored = [0; 256];
        match self.socket.try_read(&mut ignored) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// Finds silent peers and those who never read: data that is not taken for this long closes the socket.
pub fn watch_for_silence(socket: &TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(socket).set_tcp_user_timeout(Some(STALLED))
}

#[cfg(test)]
mod tests;

//! The accept loop.
//!
//! Our own, because `axum::serve` lets everybody in, waits for ever on an open stream at shutdown and hides hyper's settings: a slow
//! header must time out, and a stream must not. It is also where a stream leaves hyper: the handler hands over what to
//! write and waits; the connection is taken apart, and the socket goes to the writers.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::client_address::Peer;
use super::connection_limit::{ConnectionLimiter, ConnectionPermit};
use super::sse_writer::{SseWriters, StreamHandoff, watch_for_silence};
use crate::store::sources;

/// A client that has not sent its first request's head by then is not one of ours.
const FIRST_HEAD: Duration = Duration::from_secs(10);
/// How long a connection may stay idle between requests. Longer than proxies and clients keep theirs (60 s is common): who
/// ends it while the other side sends the next request makes a webhook fail for nothing.
const NEXT_HEAD: Duration = Duration::from_secs(90);
/// Cookies, a JWT and a browser's headers stay far below; hyper answers 431 above.
const LARGEST_HEAD: usize = 32 * 1024;
/// What requests get to finish after the signal; streams end sooner.
const DRAIN: Duration = Duration::from_millis(1_500);
/// Connections that may wait to be accepted; the system has a limit of its own (`net.core.somaxconn`, mostly 4,096). Whoever
/// finds no place tries again after a second, and after a restart everybody comes at once.
const BACKLOG: u32 = 4_096;
/// What the system keeps for a client that does not read. By itself it would keep up to 4 MiB for each of 2,000 connections from
/// one address. Linux doubles it.
const SEND_BUFFER: usize = 128 * 1024;
/// Out of file descriptors: accepting again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A handler's way to turn its connection into a stream.
#[derive(Clone)]
pub struct Upgrade(mpsc::Sender<StreamHandoff>);

impl Upgrade {
    /// The connection's task takes the socket over and drops the request; nothing after this runs.
    pub async fn hijack(&self, handoff: StreamHandoff) {
        let _ = self.0.send(handoff).await;
    }
}

/// Takes the address. Fails where that cannot be had.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted service need not wait for the connections of the one before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop`, then ends the streams, lets requests finish, and returns.
pub async fn serve(
    listener: TcpListener,
    limiter: ConnectionLimiter,
    router: Router,
    writers: SseWriters,
    stop: impl Future<Output = ()>,
) {
    let (closing, closed) = watch::channel(false);
    let tracker = TaskTracker::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((socket, peer)) => {
                let Some(permit) = limiter.enter(peer.ip()) else { continue };
                let (router, writers, closed) = (router.clone(), writers.clone(), closed.clone());
                tracker.spawn(async move {
                    let head_by = Instant::now() + FIRST_HEAD;
                    if wait_for_first_byte(&socket, head_by, closed.clone()).await {
                        Box::pin(connection(socket, head_by, Peer(peer), permit, router, writers, closed)).await;
                    }
                });
            }
            Err(cause) => {
                warn!(error = %cause, error.sources = sources(&cause), "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    closing.send_replace(true);
    tracker.close();
    let finished = async { tokio::join!(tracker.wait(), writers.close()) };
    if timeout(DRAIN, finished).await.is_err() {
        warn!("some connections did not finish in time");
    }
}

/// A connection as this service wants it.
async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, peer) = listener.accept().await?;
    // A popup is one small write; waiting for more to send along would only delay it.
    let _ = socket.set_nodelay(true);
    let _ = socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER);
    let _ = watch_for_silence(&socket);
    Ok((socket, peer))
}

/// Waits for the first byte. Until then a connection costs no more than its socket: browsers open some that they never
/// use, and when thousands come back at once most of them are still on their way.
async fn wait_for_first_byte(socket: &TcpStream, by: Instant, mut closed: watch::Receiver<bool>) -> bool {
    // `readable` would say at once that an accepted socket is, because Tokio assumes so until a read has failed.
    let mut first = [0];
    tokio::select! {
        peeked = timeout_at(by, socket.peek(&mut first)) => matches!(peeked, Ok(Ok(1))),
        _ = closed.changed() => false,
    }
}

/// One connection, until it ends or becomes a stream.
async fn connection(
    socket: TcpStream,
    head_by: Instant,
    peer: Peer,
    permit: ConnectionPermit,
    router: Router,
    writers: SseWriters,
    mut closed: watch::Receiver<bool>,
) {
    let (upgrade, mut taken_over) = mpsc::channel(1);
    let known = Arc::new(AtomicBool::new(false));
    let asked = known.clone();
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(Upgrade(upgrade.clone()));
        request.extensions_mut().insert(peer);
        routes.call(request)
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_HEAD)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(socket), service);
    let mut first_head = std::pin::pin!(sleep_until(head_by));
    let mut waits = true;
    let handoff = loop {
        tokio::select! {
            // In this order a request for a stream is read and handed over in one go. When thousands come at once, what
            // hyper keeps for each is then given back before the next is read.
            biased;
            () = &mut first_head, if waits => {
                if !known.load(Ordering::Relaxed) {
                    debug!("a connection sent no request");
                    return;
                }
                waits = false;
            }
            ended = &mut connection => {
                if let Err(cause) = ended {
                    debug!(error = %cause, error.sources = sources(&cause), "a connection broke");
                }
                return;
            }
            Some(handoff) = taken_over.recv() => break handoff,
            Ok(()) = closed.changed() => std::pin::Pin::new(&mut connection).graceful_shutdown(),
        }
    };
    let socket = connection.into_parts().io.into_inner();
    writers.accept(socket, handoff, permit);
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_is_not_served() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut browser = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = accept(&listener).await.unwrap();
        let (_closing, closed) = watch::channel(false);
        let start = Instant::now();
        assert!(!wait_for_first_byte(&socket, start + FIRST_HEAD, closed.clone()).await);
        assert!(start.elapsed() >= FIRST_HEAD, "nobody waited for the first byte");
        browser.write_all(b"G").await.unwrap();
        assert!(wait_for_first_byte(&socket, Instant::now() + FIRST_HEAD, closed).await);
    }

    #[tokio::test]
    async fn an_accepted_connection_delays_no_popup_and_finds_silent_peers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _browser = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = accept(&listener).await.unwrap();
        assert!(socket.nodelay().unwrap());
        let silence = socket2::SockRef::from(&socket).tcp_user_timeout().unwrap();
        assert!(silence.is_some_and(|silence| silence < NEXT_HEAD), "{silence:?}");
    }
}

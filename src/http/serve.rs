//! The accept loop.
//!
//! Our own, because `axum::serve` waits for ever on an open stream at shutdown and hides hyper's settings: a slow
//! header must time out, and a stream must not.

use std::future::Future;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::app::App;

/// A client that has not sent its request's head by then is not one of ours.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// What connections get to finish after the signal; streams end at once.
const DRAIN: Duration = Duration::from_millis(1_500);
/// Out of file descriptors: accepting again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then ends the streams, lets requests finish, and returns.
pub async fn serve(listener: TcpListener, router: Router, app: App, stop: impl Future<Output = ()>) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(true);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(cause) => {
                warn!(error = &cause as &dyn std::error::Error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // A popup is one small write; waiting for more to send along would only delay it.
        let _ = socket.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection =
            graceful.watch(builder.serve_connection_with_upgrades(TokioIo::new(socket), service).into_owned());
        tokio::spawn(async move {
            if let Err(cause) = connection.await {
                debug!(error = &*cause, "a connection broke");
            }
        });
    }
    drop(listener);
    app.close();
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        warn!("some connections did not finish in time");
    }
}

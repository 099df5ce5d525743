//! What systemd is notified of (`Type=notify`): that the service can serve, that it still does (`WatchdogSec=`), and that it stops.
//! Without `NOTIFY_SOCKET` nothing is sent.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

/// Asked of the service itself; it reads no database, because a restart does not bring one back.
const QUESTION: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Connections are accepted.
pub fn ready() {
    notify(NotifyState::Ready);
}

/// No more connections will be accepted.
pub fn stopping() {
    notify(NotifyState::Stopping);
}

/// While the service answers, reports so at half of the interval that systemd asks for, for ever. When it no longer does, systemd ends
/// it with SIGABRT and starts it again.
pub async fn keep_watchdog(address: SocketAddr) {
    match sd_notify::watchdog_enabled() {
        Some(limit) => report(limit / 2, async |patience| answers(address, patience).await).await,
        None => std::future::pending().await,
    }
}

async fn report(pace: Duration, is_healthy: impl AsyncFn(Duration) -> bool) {
    let mut beat = interval(pace);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if is_healthy(pace / 2).await {
            notify(NotifyState::Watchdog);
        } else {
            warn!("the service does not answer itself; systemd restarts it unless that changes");
        }
    }
}

/// Whether a connection is accepted and answered, or closed at once because there are too many.
async fn answers(address: SocketAddr, patience: Duration) -> bool {
    let asked = async {
        let mut socket = TcpStream::connect(reachable(address)).await?;
        socket.write_all(QUESTION).await?;
        let mut first = [0; 16];
        socket.read(&mut first).await
    };
    match timeout(patience, asked).await {
        Ok(Ok(_)) => true,
        // Closed before the question was read.
        Ok(Err(cause)) => cause.kind() != std::io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

/// Where this machine reaches a listener on every address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    address
}

fn notify(state: NotifyState<'_>) {
    if let Err(cause) = sd_notify::notify(&[state]) {
        warn!(error = %cause, "systemd cannot be notified");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_service_is_healthy_while_it_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Duration::from_millis(100);
        assert!(!answers(address, patience).await, "accepted by the system only");
        let serving = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                drop(socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
            }
        });
        assert!(answers(address, Duration::from_secs(5)).await);
        serving.abort();
        drop(serving.await);
        assert!(!answers(address, patience).await, "nothing listens");
    }

    #[tokio::test(start_paused = true)]
    async fn health_is_asked_for_at_each_beat() {
        let asked = AtomicUsize::new(0);
        let beats = report(Duration::from_secs(15), async |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            false
        });
        assert!(timeout(Duration::from_secs(46), beats).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 4);
    }
}

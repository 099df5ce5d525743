//! Time that stands still until a test moves it, while sockets go on.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};
use std::task::Poll;
use std::time::Duration;

use futures_util::poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{advance, pause};

/// A round trip makes the runtime look at its sockets; whatever loopback exchange is under way ends within so many.
const ROUND_TRIPS: usize = 50;
/// How long a test lets a future take, in the clock's time, before it calls it stuck.
const LONGEST_RUN: Duration = Duration::from_secs(600);

/// While this lives, time passes only in [`Frozen::pass`] and [`Frozen::run`]. A paused tokio clock alone would leap to
/// the next timeout whenever everybody waits for a socket; it never does while a blocking task runs.
pub struct Frozen {
    echo: TcpStream,
    _hold: Sender<()>,
}

impl Frozen {
    pub async fn start() -> Self {
        let (hold, held) = channel::<()>();
        tokio::task::spawn_blocking(move || held.recv().is_err());
        pause();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut far, _) = far.expect("it is connected");
        tokio::spawn(async move {
            let mut byte = [0];
            while far.read_exact(&mut byte).await.is_ok() && far.write_all(&byte).await.is_ok() {}
        });
        Self { echo: near.expect("it is connected"), _hold: hold }
    }

    /// Lets everything happen that can happen without time passing.
    pub async fn settle(&mut self) {
        for _ in 0..ROUND_TRIPS {
            self.echo.write_all(&[0]).await.expect("the echo listens");
            self.echo.read_exact(&mut [0]).await.expect("the echo answers");
        }
    }

    /// Lets time pass, and then whatever it brings.
    pub async fn pass(&mut self, time: Duration) {
        advance(time).await;
        self.settle().await;
    }

    /// Lets as much time pass as `future` needs, a fifth of a second at a time.
    pub async fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let step = Duration::from_millis(200);
        for _ in 0..LONGEST_RUN.as_millis() / step.as_millis() {
            self.settle().await;
            if let Poll::Ready(done) = poll!(future.as_mut()) {
                return done;
            }
            advance(step).await;
        }
        panic!("ten minutes were not enough");
    }
}

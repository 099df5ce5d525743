//! One command for all who ask at once.
//!
//! A command costs MongoDB and the driver nearly the same for thirty calls as for one. So what is asked while a command is
//! under way waits for the next, which takes all that has gathered; alone it goes out at once.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::fatal_panic;
use crate::store::{Result, StoreError};

/// How much goes into one command, and how long its answer may take.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Who share a command at most.
    most: usize,
    /// A server that hangs must not hold up what is asked after it: its connection is given up, and the next command goes to
    /// the primary that there is then.
    patience: Duration,
}

impl Pace {
    /// A document is a few KB, and the first should not wait for the thousandth. Callers give up after 2.2 s.
    pub(super) const LIVE: Self = Self { most: 64, patience: Duration::from_millis(2_200) };
    /// More at a time are faster in all, and take the processor from live ones for longer.
    pub(super) const BULK: Self = Self { most: 256, patience: Duration::from_secs(4) };
}

/// Who may wait; beyond it they wait for a place, which slows webhooks down instead of filling memory.
const QUEUE: usize = 1_024;

type Answer<A> = std::result::Result<A, mongodb::error::Error>;

type Run<Q, A> = dyn Fn(Vec<Q>) -> BoxFuture<'static, Answer<Vec<A>>> + Send + Sync;

/// Asks together. Cheap to clone.
pub(super) struct Batch<Q, A> {
    queue: mpsc::Sender<(Q, oneshot::Sender<Answer<A>>)>,
    run: Arc<Run<Q, A>>,
}

impl<Q, A> Clone for Batch<Q, A> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), run: self.run.clone() }
    }
}

impl<Q: Send + 'static, A: Send + 'static> Batch<Q, A> {
    /// `run` answers questions in their order, or all of them with the same error. Ends with its last handle.
    pub(super) fn start<F>(pace: Pace, run: impl Fn(Vec<Q>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer<Vec<A>>> + Send + 'static,
    {
        let run: Arc<Run<Q, A>> = Arc::new(move |questions| {
            let answer = timeout(pace.patience, run(questions));
            Box::pin(
                answer.map(|answer| answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))),
            )
        });
        let (sender, mut queue) = mpsc::channel::<(Q, oneshot::Sender<Answer<A>>)>(QUEUE);
        let together = run.clone();
        tokio::spawn(fatal_panic::task("batches of MongoDB", async move {
            let mut asked = Vec::with_capacity(pace.most);
            while queue.recv_many(&mut asked, pace.most).await > 0 {
                // A caller that gave up while waiting has spooled it, and it is stored when the spool is replayed.
                let awaited = asked.drain(..).filter(|(_, waits)| !waits.is_closed());
                let (questions, waiting): (Vec<_>, Vec<_>) = awaited.unzip();
                if questions.is_empty() {
                    continue;
                }
                match together(questions).await {
                    Ok(answers) => waiting.into_iter().zip(answers).for_each(|(waits, answer)| {
                        let _ = waits.send(Ok(answer));
                    }),
                    Err(cause) => waiting.into_iter().for_each(|waits| {
                        let _ = waits.send(Err(cause.clone()));
                    }),
                }
            }
        }));
        Self { queue: sender, run }
    }

    /// Asks in a command of its own: one that takes long must not hold up those of others.
    pub(super) async fn ask_alone(&self, question: Q) -> Result<A> {
        let answers = (self.run)(vec![question]).await?;
        answers.into_iter().next().ok_or(StoreError::Closed)
    }

    /// Asks together with all others.
    pub(super) async fn ask(&self, question: Q) -> Result<A> {
        let (answer, answered) = oneshot::channel();
        self.queue.send((question, answer)).await.map_err(|_| StoreError::Closed)?;
        Ok(answered.await.map_err(|_| StoreError::Closed)??)
    }
}

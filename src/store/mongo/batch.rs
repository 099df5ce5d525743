//! One command for all who ask at once.
//!
//! A command costs MongoDB and the driver nearly the same for thirty calls as for one. So whoever asks while a command is
//! under way waits for the next, which takes everyone who has gathered; with nobody else there it goes out at once.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};

use crate::store::{Result, StoreError};

/// Who share a command at most: a document is a few KB, and the first should not wait for the thousandth.
const MOST: usize = 64;
/// Who may wait; beyond it they wait for a place, which slows webhooks down instead of filling memory.
const QUEUE: usize = 1_024;

type Answer<A> = std::result::Result<A, mongodb::error::Error>;

/// Asks together. Cheap to clone.
pub(super) struct Batch<Q, A>(mpsc::Sender<(Q, oneshot::Sender<Answer<A>>)>);

impl<Q, A> Clone for Batch<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Q: Send + 'static, A: Send + 'static> Batch<Q, A> {
    /// `run` answers questions in their order, or all of them with the same error. Ends with its last handle.
    pub(super) fn start<F>(run: impl Fn(Vec<Q>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Answer<Vec<A>>> + Send,
    {
        let (sender, mut queue) = mpsc::channel::<(Q, oneshot::Sender<Answer<A>>)>(QUEUE);
        tokio::spawn(async move {
            let mut asked = Vec::with_capacity(MOST);
            while queue.recv_many(&mut asked, MOST).await > 0 {
                // Who gave up while waiting has spooled it, and is told to the database in its turn.
                let awaited = asked.drain(..).filter(|(_, waits)| !waits.is_closed());
                let (questions, waiting): (Vec<_>, Vec<_>) = awaited.unzip();
                if questions.is_empty() {
                    continue;
                }
                match run(questions).await {
                    Ok(answers) => waiting.into_iter().zip(answers).for_each(|(waits, answer)| {
                        let _ = waits.send(Ok(answer));
                    }),
                    Err(cause) => waiting.into_iter().for_each(|waits| {
                        let _ = waits.send(Err(cause.clone()));
                    }),
                }
            }
        });
        Self(sender)
    }

    /// Asks with everyone else.
    pub(super) async fn ask(&self, question: Q) -> Result<A> {
        let (answer, answered) = oneshot::channel();
        self.0.send((question, answer)).await.map_err(|_| StoreError::Closed)?;
        Ok(answered.await.map_err(|_| StoreError::Closed)??)
    }
}

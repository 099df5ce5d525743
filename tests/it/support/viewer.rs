//! A reader of the stream, as `EventSource` reads it.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use super::PATIENCE;

/// One event with data.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The `event:` line, if there was one.
    pub event: Option<String>,
    /// The viewer's position after this frame.
    pub id: Option<String>,
    pub data: Value,
}

impl Frame {
    /// What the data says it is.
    pub fn kind(&self) -> &str {
        self.data["type"].as_str().unwrap_or_else(|| panic!("data without a type: {}", self.data))
    }

    pub fn call(&self) -> &Value {
        &self.data["call"]
    }
}

/// Somebody who looks at a dashboard.
pub struct Viewer {
    pub response: Response,
    /// The last `id:`, what a browser sends as `Last-Event-ID`.
    pub position: Option<String>,
    /// The last `retry:`, in milliseconds.
    pub retry: Option<u64>,
    unread: Vec<u8>,
}

impl Viewer {
    pub async fn open(request: RequestBuilder) -> Self {
        let response = tokio::time::timeout(PATIENCE, request.send()).await.expect("the stream answers at once");
        Self::of(response.expect("the stream answers"))
    }

    /// Whoever reads this answer.
    pub fn of(response: Response) -> Self {
        Self { response, position: None, retry: None, unread: Vec::new() }
    }

    /// The next event, `None` when the server ended the stream.
    pub async fn next(&mut self) -> Option<Frame> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("the stream says something")
    }

    /// The next event that is no heartbeat, which must be this one.
    pub async fn expect(&mut self, kind: &str) -> Frame {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("the stream ended before {kind}"));
            match frame.kind() {
                "heartbeat" if kind != "heartbeat" => {}
                other if other == kind => return frame,
                other => panic!("{kind} was expected, {other} came: {}", frame.data),
            }
        }
    }

    /// The next event of this kind; others may come before it.
    pub async fn wait_for(&mut self, kind: &str) -> Frame {
        self.find(kind, |frame| frame.kind() == kind).await
    }

    /// The next event that fits; others may come before it.
    pub async fn find(&mut self, what: &str, mut fits: impl FnMut(&Frame) -> bool) -> Frame {
        let looking = async {
            loop {
                let frame = self.read().await.unwrap_or_else(|| panic!("the stream ended before {what}"));
                if fits(&frame) {
                    return frame;
                }
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("{what} did not come"))
    }

    /// What comes in this time.
    pub async fn listen_for(&mut self, time: Duration) -> Vec<Frame> {
        let mut frames = Vec::new();
        let listening = async {
            while let Some(frame) = self.read().await {
                frames.push(frame);
            }
        };
        drop(tokio::time::timeout(time, listening).await);
        frames
    }

    /// Waits for the server to end the stream in order.
    pub async fn end(&mut self) {
        while self.next().await.is_some() {}
    }

    async fn read(&mut self) -> Option<Frame> {
        loop {
            while let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.unread.drain(..end + 2).collect();
                let block = String::from_utf8(block).expect("the stream is UTF-8");
                if let Some(frame) = self.understand(&block) {
                    return Some(frame);
                }
            }
            let chunk = self.response.chunk().await.expect("the stream breaks nowhere")?;
            self.unread.extend_from_slice(&chunk);
        }
    }

    fn understand(&mut self, block: &str) -> Option<Frame> {
        let (mut event, mut data) = (None, Vec::new());
        for line in block.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => {}
                "event" => event = Some(value.to_owned()),
                "id" => self.position = Some(value.to_owned()),
                "retry" => self.retry = Some(value.parse().expect("retry is a number")),
                "data" => data.push(value),
                other => panic!("{other:?} is no field of an event stream"),
            }
        }
        if data.is_empty() {
            return None;
        }
        assert_eq!(data.len(), 1, "every data line is one JSON object, so an event has one");
        let data = serde_json::from_str(data[0]).expect("every data line is JSON");
        Some(Frame { event, id: self.position.clone(), data })
    }
}

//! What one viewer may take of what all share.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::{PATIENCE, Setup, Store, TestApp, eventually, token};

const TOKEN: &str = "a-token-of-the-company-0123456789";

on_both_stores!(
    a_viewer_has_so_many_streams_and_tickets_and_others_have_theirs,
    a_page_that_is_not_read_counts_until_it_is
);

async fn app(store: Store) -> TestApp {
    Setup::on(store).with("JWT_SECRET", token::SECRET).with("API_TOKENS", TOKEN).start().await
}

async fn a_viewer_has_so_many_streams_and_tickets_and_others_have_theirs(store: Store) {
    let app = app(store).await;
    let (dana, kim) = (token::agent("dana", &["101"]), token::agent("kim", &["101"]));
    let stream = async |token: &str| {
        let mut opened =
            app.request(Method::GET, "/api/ringcentral/call-stream").bearer_auth(token).send().await.unwrap();
        let first = timeout(PATIENCE, opened.chunk()).await.unwrap().unwrap().unwrap();
        (String::from_utf8(first.to_vec()).unwrap(), opened)
    };
    let mut open = Vec::new();
    for _ in 0..50 {
        let (first, opened) = stream(&dana).await;
        assert!(first.contains("connected"), "{first}");
        open.push(opened);
    }
    assert!(stream(&dana).await.0.contains("too_many_streams"));
    for other in [kim.as_str(), TOKEN] {
        assert!(stream(other).await.0.contains("connected"));
    }
    open.pop();
    eventually("a stream in the place of the closed one", async || {
        stream(&dana).await.0.contains("connected").then_some(())
    })
    .await;

    let ticket = async |token: &str| {
        app.request(Method::POST, "/api/auth/ticket").bearer_auth(token).send().await.unwrap().status()
    };
    let tickets = join_all((0..150).map(|_| ticket(&kim))).await;
    let refused = tickets.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count();
    assert!((20..=50).contains(&refused), "{refused} of 150 were refused");
    assert_eq!((ticket(&dana).await, ticket(TOKEN).await), (StatusCode::OK, StatusCode::OK));
    let of_the_company = join_all((0..150).map(|_| ticket(TOKEN))).await;
    assert!(of_the_company.iter().all(|status| *status == StatusCode::OK));
}

async fn a_page_that_is_not_read_counts_until_it_is(store: Store) {
    let app = app(store).await;
    let (dana, kim) = (token::agent("dana", &["101"]), token::agent("kim", &["101"]));
    // Longer than what the system keeps for a client.
    let name = "N".repeat(250);
    let calls = (0..500).map(|n| {
        let (app, session) = (&app, format!("s{n}"));
        let name = name.as_str();
        async move {
            app.deliver(&presence(&session, "Ringing", name)).await;
            app.deliver(&presence(&session, "NoCall", name)).await;
        }
    });
    stream::iter(calls).buffer_unordered(16).collect::<Vec<()>>().await;
    let page = async |token: &str| {
        let asked = app.request(Method::GET, "/api/ringcentral/calls?limit=500").bearer_auth(token);
        asked.send().await.unwrap()
    };
    let whole = eventually("the history", async || {
        let page = page(&kim).await.text().await.unwrap();
        let calls = serde_json::from_str::<Value>(&page).unwrap()["calls"].as_array().unwrap().len();
        (calls == 500).then_some(page)
    })
    .await;
    assert!(whole.len() > 350_000, "{}", whole.len());

    let mut unread = Vec::new();
    for _ in 0..12 {
        unread.push(ask_and_read_nothing(&app, "/api/ringcentral/calls?limit=500", &dana).await);
    }
    let heads = join_all(unread.iter_mut().map(head)).await;
    let sent = heads.iter().filter(|head| head.starts_with("HTTP/1.1 200")).count();
    let refused = heads.iter().filter(|head| head.starts_with("HTTP/1.1 429")).count();
    assert_eq!((sent, refused), (2, 10), "{heads:?}");
    assert_eq!(page(&dana).await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(page(&kim).await.status(), StatusCode::OK);
    drop(unread);
    eventually("a page for who has closed the others", async || {
        (page(&dana).await.status() == StatusCode::OK).then_some(())
    })
    .await;
}

/// A client whose system keeps next to nothing for it.
async fn ask_and_read_nothing(app: &TestApp, path: &str, token: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    SockRef::from(&socket).set_recv_buffer_size(4_096).unwrap();
    let mut connection = socket.connect(app.address.parse().unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\r\n", app.address);
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

async fn head(connection: &mut TcpStream) -> String {
    let mut start = [0; 12];
    timeout(PATIENCE, connection.read_exact(&mut start)).await.expect("an answer comes").unwrap();
    String::from_utf8(start.to_vec()).unwrap()
}

#[tokio::test]
async fn a_viewer_who_asks_without_a_pause_is_slowed_down_and_others_are_not() {
    let app = app(Store::Sqlite).await;
    let (dana, kim) = (token::agent("dana", &["101"]), token::agent("kim", &["101"]));
    let (begun, end) = (Instant::now(), Instant::now() + Duration::from_secs(2));
    let client = Client::new();
    let ask = async |token: &str| {
        let asked = client.get(app.url("/api/auth/session")).bearer_auth(token).send().await.unwrap();
        asked.status() == StatusCode::OK
    };
    let loops = (0..64).map(|_| async {
        let mut answered = 0;
        while Instant::now() < end {
            answered += usize::from(ask(&dana).await);
        }
        answered
    });
    let others = async {
        let mut answered = 0;
        while Instant::now() < end {
            assert!(ask(&kim).await, "others are served");
            answered += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        answered
    };
    let (answered, others) = tokio::join!(join_all(loops), others);
    let (answered, most): (usize, f64) = (answered.iter().sum(), 200.0 + 50.0 * begun.elapsed().as_secs_f64());
    assert!(answered as f64 <= most + 1.0, "{answered} answers, and {most} at most");
    assert!(answered > 200 && others > 5, "{answered}, {others}");
}

fn presence(session: &str, status: &str, name: &str) -> Value {
    serde_json::json!({
        "event": "/restapi/v1.0/account/~/extension/101/presence",
        "body": {
            "telephonyStatus": status,
            "sessionId": session,
            "direction": "Inbound",
            "from": { "phoneNumber": "+14165551234", "name": name },
            "to": { "phoneNumber": "+15875550100" }
        }
    })
}

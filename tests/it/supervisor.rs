//! Under a supervisor: systemd's notifications on a real socket, exit statuses, and the unit that relies on them.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use tokio::net::UnixDatagram;

use crate::support::{PATIENCE, Setup, Store, eventually};

/// What `WatchdogSec=` becomes in `WATCHDOG_USEC`.
const WATCHDOG: Duration = Duration::from_millis(800);

on_both_stores!(systemd_is_notified_of_the_start_of_health_and_of_the_end, a_removed_data_dir_is_noticed);

async fn systemd_is_notified_of_the_start_of_health_and_of_the_end(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let next = async || {
        let mut message = [0; 256];
        let read = tokio::time::timeout(PATIENCE, socket.recv(&mut message)).await.expect("a message comes").unwrap();
        String::from_utf8_lossy(&message[..read]).trim().to_owned()
    };
    let setup = Setup::on(store)
        .with("NOTIFY_SOCKET", path.to_str().unwrap())
        .with("WATCHDOG_USEC", &WATCHDOG.as_micros().to_string());
    let mut app = setup.start().await;
    assert_eq!(next().await, "READY=1");
    assert_eq!(app.get("/health/ready").await.status(), StatusCode::OK, "ready means that it serves");
    assert_eq!(next().await, "WATCHDOG=1");
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(next().await, "WATCHDOG=1");
    }
    assert!(start.elapsed() > WATCHDOG, "half of the interval, not more often: {:?}", start.elapsed());
    app.signal("TERM").await;
    let mut last = next().await;
    while last == "WATCHDOG=1" {
        last = next().await;
    }
    assert_eq!(last, "STOPPING=1");
    assert!(app.exit().await.success());
}

#[tokio::test]
async fn only_wrong_settings_have_the_status_that_is_not_tried_again() {
    let unit =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/caller-popup.service")).unwrap();
    let directive = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or("");
    let (status, _) = Setup::on(Store::Sqlite).with("BIND", "nowhere").run(&["serve"]).await;
    assert_eq!(status.code().unwrap().to_string(), directive("RestartPreventExitStatus"));
    // Another program's port may be free in a moment.
    let first = Setup::on(Store::Sqlite).start().await;
    let (status, output) = Setup::on(Store::Sqlite).with("BIND", &first.address).run(&["serve"]).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert_eq!(
        (directive("Type"), directive("Restart"), directive("StartLimitIntervalSec")),
        ("notify", "on-failure", "0")
    );
    assert!(directive("WatchdogSec").parse::<u32>().is_ok_and(|seconds| seconds >= 10), "{unit}");
}

async fn a_removed_data_dir_is_noticed(store: Store) {
    let app = Setup::on(store).start().await;
    assert_eq!(app.get("/health/ready").await.status(), StatusCode::OK);
    let elsewhere = app.data_dir().with_extension("before");
    std::fs::rename(app.data_dir(), &elsewhere).unwrap();
    let reasons = eventually("the service is not ready", async || {
        let answer = app.get("/health/ready").await;
        (answer.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
    });
    let reasons = reasons.await.text().await.unwrap();
    assert!(reasons.contains("DATA_DIR was removed or replaced"), "{reasons}");
    assert!(app.metrics().await.contains("caller_popup_data_dir_lost 1"));
    // A new folder of that name is not the one that is written to.
    std::fs::create_dir(app.data_dir()).unwrap();
    for file in std::fs::read_dir(&elsewhere).unwrap().map(|file| file.unwrap()) {
        std::fs::copy(file.path(), app.data_dir().join(file.file_name())).unwrap();
    }
    assert_eq!(app.get("/health/ready").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let logged = app.log().lines().filter(|line| line.contains("DATA_DIR was removed or replaced")).count();
    assert_eq!(logged, 1);
}

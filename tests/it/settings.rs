//! The start: what stops it, and what it says then.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use reqwest::Method;

use crate::support::{ADMIN_TOKEN, PATIENCE, Setup, Store, eventually};

#[tokio::test]
async fn a_bad_setting_stops_the_start_and_all_of_them_are_named() {
    let bad = [
        ("BIND", "nowhere"),
        ("POLL_INTERVAL_MS", "soon"),
        ("DEFAULT_REGION", "Mars"),
        ("RINGCENTRAL_VERIFICATION_TOKEN", "more than thirty-two characters, with blanks"),
        ("CUSTOMER_URL", "javascript:alert(1)"),
        ("MONGODB_URI", "postgres://localhost"),
        ("RETENTION_DAYS", "-1"),
        ("LOG_FORMAT", "xml"),
    ];
    let setup = bad.iter().fold(Setup::on(Store::Sqlite), |setup, (name, value)| setup.with(name, value));
    let (status, output) = setup.run(&["serve"]).await;
    assert!(!status.success());
    for (name, _) in bad {
        assert!(output.contains(name), "{name} is missing in:\n{output}");
    }
    assert!(!output.contains("panicked") && !output.contains("RUST_BACKTRACE"), "{output}");
}

#[tokio::test]
async fn settings_are_read_from_a_dotenv_file_too() {
    let setup = Setup::on(Store::Sqlite);
    let env = setup.write_file(".env", "RETENTION_DAYS=never\n");
    let (status, output) = setup.run(&["serve"]).await;
    assert!(!status.success() && output.contains("RETENTION_DAYS"), "with {}:\n{output}", env.display());
}

#[tokio::test]
async fn an_error_of_the_dotenv_file_names_the_line_and_never_a_value() {
    let setup = Setup::on(Store::Sqlite);
    setup.write_file(".env", "# settings\nRETENTION_DAYS=30\nAPI_TOKENS=hunter2 hunter3 hunter4\n");
    let (status, output) = setup.run(&["serve"]).await;
    assert!(!status.success() && output.contains("line 3 (API_TOKENS)"), "{output}");
    assert!(!output.contains("hunter"), "{output}");
}

#[tokio::test]
async fn a_setting_whose_name_has_a_typing_error_stops_the_start() {
    let typed = Setup::on(Store::Sqlite).with("API_TOKEN", "0123456789abcdef-hunter2");
    typed.write_file(".env", "JWT_SECRETS=0123456789abcdef0123456789abcdef-hunter2\nMONGO_URI=mongodb://u:hunter2@h\n");
    let (status, output) = typed.run(&["serve"]).await;
    assert!(!status.success(), "{output}");
    for (typed, meant) in [("API_TOKEN", "API_TOKENS"), ("JWT_SECRETS", "JWT_SECRET"), ("MONGO_URI", "MONGO_URL")] {
        assert!(output.contains(&format!("{typed} is no setting: write {meant}")), "{typed}: {output}");
    }
    assert!(!output.contains("hunter2"), "{output}");
    // Where the setting is there too, the other name is another program's.
    let both = Setup::on(Store::Sqlite).with("API_TOKEN", "of-another-program").with("API_TOKENS", ADMIN_TOKEN);
    both.start().await;
}

#[tokio::test]
async fn a_setting_that_is_not_unicode_is_not_taken_for_unset() {
    let setup = Setup::on(Store::Sqlite);
    let mut command = setup.command();
    let output = command.arg("serve").env("API_TOKENS", OsStr::from_bytes(b"0123456789abcdef\xff")).output();
    let output = tokio::time::timeout(PATIENCE, output).await.expect("the start is stopped").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("API_TOKENS is not UTF-8"), "{said}");
}

#[tokio::test]
async fn local_mode_behind_a_tunnel_says_what_opens_it() {
    let app = Setup::on(Store::Sqlite).with("PUBLIC_URL", "https://calls.example.com").start().await;
    let warned = async || app.log().contains("PUBLIC_URL is set and nothing says who may read").then_some(());
    eventually("a line about it", warned).await;
    let (status, said) = app.run(&["doctor"]).await;
    let found = "BAD   settings: PUBLIC_URL is set and nothing says who may read";
    assert!(!status.success() && said.contains(found) && said.contains("cure: set API_TOKENS"), "{said}");
    let tunnelled = app.request(Method::GET, "/").header("X-Forwarded-For", "192.0.2.7").send().await.unwrap();
    let said = tunnelled.text().await.unwrap();
    assert!(said.contains("API_TOKENS") && said.contains("openssl rand"), "{said}");
}

#[tokio::test]
async fn a_mongodb_that_cannot_be_reached_is_named_without_its_password() {
    let setup = Setup::on(Store::Sqlite)
        .with("MONGODB_URI", "mongodb://user:hunter2@127.0.0.1:9/?serverSelectionTimeoutMS=300&connectTimeoutMS=300");
    let (status, output) = setup.run(&["erase", "+14165550100"]).await;
    assert!(!status.success());
    assert!(output.contains("MongoDB") && !output.contains("hunter2"), "{output}");
    // The service starts all the same, and says in its log what it waits for.
    let app = setup.start().await;
    let log = eventually("the cause in the log", async || Some(app.log()).filter(|log| log.contains("MongoDB"))).await;
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn the_command_line_explains_itself() {
    let setup = Setup::on(Store::Sqlite);
    let (status, output) = setup.run(&["--help"]).await;
    assert!(status.success() && output.contains("serve") && output.contains("customers"), "{output}");
    let (status, output) = setup.run(&["no-such-command"]).await;
    assert!(!status.success() && output.contains("no-such-command"), "{output}");
}

//! The start: what stops it, and what it says then.

use crate::support::{Setup, Store};

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
async fn a_mongodb_that_cannot_be_reached_is_named_without_its_password() {
    let setup = Setup::on(Store::Sqlite)
        .with("MONGODB_URI", "mongodb://user:hunter2@127.0.0.1:9/?serverSelectionTimeoutMS=300&connectTimeoutMS=300");
    let (status, output) = setup.run(&["serve"]).await;
    assert!(!status.success());
    assert!(output.contains("MongoDB") && !output.contains("hunter2"), "{output}");
}

#[tokio::test]
async fn the_command_line_explains_itself() {
    let setup = Setup::on(Store::Sqlite);
    let (status, output) = setup.run(&["--help"]).await;
    assert!(status.success() && output.contains("serve") && output.contains("customers"), "{output}");
    let (status, output) = setup.run(&["no-such-command"]).await;
    assert!(!status.success() && output.contains("no-such-command"), "{output}");
}

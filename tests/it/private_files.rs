//! Files hold numbers, names and keys, and are for the user of the program only.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Setup, Store, TestApp, eventually};

on_both_stores! {
    whatever_the_program_makes_is_private,
    what_was_wider_is_tightened_and_said_once,
}

/// The modes of the folder and of every file in it that others may use.
fn open_to_others(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let all = files.chain([folder.to_owned()]);
    let mode = |path: &Path| fs::metadata(path).map_or(0, |found| found.permissions().mode() & 0o777);
    let wide = all.filter(|path| mode(path) & 0o077 != 0);
    wide.map(|path| format!("{:o} {}", mode(&path), path.display())).collect()
}

fn widen(folder: &Path) {
    for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
}

async fn whatever_the_program_makes_is_private(store: Store) {
    let app = TestApp::start(store).await;
    app.ring("rings", "+14165551234").await;
    assert!(fs::read_dir(app.data_dir()).unwrap().count() > 0, "there are files to look at");
    assert_eq!(open_to_others(&app.data_dir()), Vec::<String>::new());
}

async fn what_was_wider_is_tightened_and_said_once(store: Store) {
    let mut app = TestApp::start(store).await;
    app.ring("rings", "+14165551234").await;
    app.kill().await;
    widen(&app.data_dir());
    app.restart().await;
    assert_eq!(open_to_others(&app.data_dir()), Vec::<String>::new());
    let said = |app: &TestApp| app.log().matches("permissions tightened").count();
    eventually("a line about it", async || (said(&app) > 0).then_some(())).await;
    app.kill().await;
    app.restart().await;
    assert_eq!(said(&app), 1, "{}", app.log());
}

#[tokio::test]
async fn whatever_a_command_makes_or_opens_is_private() {
    for command in ["import", "erase", "doctor"] {
        let setup = Setup::on(Store::Sqlite);
        let file = setup.write_file("customers.csv", "id,name,phone\n1,Ann,416-555-0301\n").display().to_string();
        let arguments = match command {
            "import" => vec!["customers", "import", &file],
            "erase" => vec!["erase", "+14165550301"],
            other => vec![other],
        };
        for _ in 0..2 {
            // What the doctor finds is not the question.
            let (_, said) = setup.run(&arguments).await;
            assert_eq!(open_to_others(&setup.data_dir()), Vec::<String>::new(), "{command}: {said}");
            widen(&setup.data_dir());
        }
    }
}

#[tokio::test]
async fn the_spool_of_a_command_is_private() {
    let setup = Setup::on(Store::Mongo);
    let (status, said) = setup.run(&["erase", "+14165550301"]).await;
    assert!(status.success(), "{said}");
    assert_eq!(open_to_others(&setup.data_dir()), Vec::<String>::new());
}

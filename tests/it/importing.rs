//! Customers from the files that programs and people export, and what the import says of them.

use std::process::ExitStatus;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Setup, Store, TestApp, eventually, privacy, within};

/// Imports a file of these bytes.
async fn import(setup: &Setup, file: impl AsRef<[u8]>, more: &[&str]) -> (ExitStatus, String) {
    let path = setup.write_file("customers.csv", file).display().to_string();
    setup.run(&[&["customers", "import", &path], more].concat()).await
}

/// Rings with each number and holds the customer's name against it.
async fn are_known(app: &TestApp, callers: &[(&str, &str)]) {
    for (number, name) in callers {
        privacy::hide(Some((*name).to_owned()).filter(|name| name.contains(' ')));
        app.ring(number, number).await;
        let call = eventually(format!("the customer {name} of {number}"), async || {
            app.active_call(number).await.filter(|call| !call["customer_id"].is_null())
        })
        .await;
        assert_eq!((&call["customer_name"], &call["match"]), (&json!(name), &json!("exact")), "{number}");
    }
}

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

#[tokio::test]
async fn every_encoding_delimiter_and_program_is_imported() {
    let table = "id,name,email,phone,mobile\r\nc1,Ann Lee,a@x.test,416-555-0301,\r\n";
    let google = "First Name,Last Name,E-mail 1 - Value,Phone 1 - Label,Phone 1 - Value\r\n\
                  Ann,Lee,a@x.test,Mobile,416-555-0301\r\n";
    for file in [
        table.replace(',', ";").into_bytes(),
        table.replace(',', "\t").into_bytes(),
        [b"\xef\xbb\xbf", table.as_bytes()].concat(),
        [vec![0xff, 0xfe], utf16(table, u16::to_le_bytes)].concat(),
        [vec![0xfe, 0xff], utf16(table, u16::to_be_bytes)].concat(),
        utf16(&table.replace(',', "\t"), u16::to_le_bytes),
        google.as_bytes().to_vec(),
        b"ID,FULL_NAME,Business Phone\r\n1,Ann Lee,416-555-0301".to_vec(),
        b"Record ID,First Name,Last Name,Phone Number\n1,Ann,Lee,416-555-0301\n".to_vec(),
        b"Account ID;Account Name;Phone\n1;Ann Lee;416-555-0301\n".to_vec(),
        b"Vorname;Nachname;Telefon (privat)\n\"Ann\";\"Lee\";\"416-555-0301\"\n".to_vec(),
    ] {
        let setup = Setup::on(Store::Sqlite);
        let (status, said) = import(&setup, &file, &[]).await;
        assert!(status.success() && said.contains("1 customer with 1 number from 1 row imported"), "{said}");
        are_known(&setup.start().await, &[("+14165550301", "Ann Lee")]).await;
    }
}

#[tokio::test]
async fn names_in_windows_1252_keep_their_accents() {
    let setup = Setup::on(Store::Sqlite);
    let (status, said) = import(&setup, b"id,name,phone\r\nc1,Ren\xe9 Roy,416-555-0301\r\n", &[]).await;
    assert!(status.success(), "{said}");
    are_known(&setup.start().await, &[("+14165550301", "René Roy")]).await;
}

#[tokio::test]
async fn numbers_that_a_spreadsheet_wrote_match() {
    let setup = Setup::on(Store::Sqlite);
    let file =
        "id,name,phone\n1.0,Ann Lee,4165550301.0\n2,Bob May,4.165550302E9\n3,Cat Orr,\"=\"\"416-555-0303\"\"\"\n";
    let (status, said) = import(&setup, file, &[]).await;
    assert!(status.success() && said.contains("3 customers with 3 numbers"), "{said}");
    let app = setup.start().await;
    are_known(&app, &[("+14165550301", "Ann Lee"), ("+14165550302", "Bob May"), ("+14165550303", "Cat Orr")]).await;
    assert_eq!(app.active_call("+14165550301").await.unwrap()["customer_id"], "1");
}

#[tokio::test]
async fn each_of_several_numbers_in_one_field_matches() {
    let setup = Setup::on(Store::Sqlite);
    let file = "id,name,phone\r\n1,Ann,416-555-0311 ::: 416-555-0911\r\n2,Bob,416-555-0312; 416-555-0912\r\n\
                3,Cat,416-555-0313 / 416-555-0913\r\n4,Dan,\"416-555-0314, 416-555-0914\"\r\n\
                5,Eve,\"416-555-0315\r\n416-555-0915\"\r\n6,Fay,416-555-0316 or 416-555-0916\r\n";
    let (status, said) = import(&setup, file, &[]).await;
    assert!(status.success() && said.contains("6 customers with 12 numbers from 6 rows"), "{said}");
    let names = ["Ann", "Bob", "Cat", "Dan", "Eve", "Fay"];
    let numbers = (311..).zip(names).flat_map(|(n, name)| [(n, name), (n + 600, name)]);
    let numbers: Vec<_> = numbers.map(|(n, name)| (format!("+14165550{n}"), name)).collect();
    let callers: Vec<_> = numbers.iter().map(|(number, name)| (number.as_str(), *name)).collect();
    are_known(&setup.start().await, &callers).await;
}

#[tokio::test]
async fn a_file_without_ids_replaces_its_customers_when_it_comes_again() {
    let setup = Setup::on(Store::Sqlite);
    for phone in ["416-555-0301", "416-555-0302"] {
        let file = format!("Name,Email,Phone\nAnn Lee,a@x.test,{phone}\n");
        assert!(import(&setup, file, &[]).await.0.success());
    }
    let app = setup.start().await;
    are_known(&app, &[("+14165550302", "Ann Lee")]).await;
    app.ring("before", "+14165550301").await;
    app.ring("after", "+14165550302").await;
    eventually("the later call has its customer", async || {
        app.active_call("after").await.filter(|call| !call["customer_id"].is_null())
    })
    .await;
    assert!(app.active_call("before").await.unwrap()["customer_id"].is_null(), "the number before is no longer hers");
}

#[tokio::test]
async fn a_broken_row_is_reported_under_its_number_and_the_others_are_imported() {
    let setup = Setup::on(Store::Sqlite);
    let file = "id,name,phone\n1,Ann,416-555-0301\n2,\"Bob,416-555-0302\n3,Cat,416-555-0303\n\
                4,Doe, Jane,416-555-0304\n5,N\0l,416-555-0305\n6,Fay,101\n7,Gus\n,,\n,,\n8,Hal,416-555-0308\n";
    let (status, said) = import(&setup, file, &[]).await;
    assert!(!status.success(), "rows were lost:\n{said}");
    for line in [
        "5 customers with 3 numbers from 8 rows",
        "row 3: a quote is opened",
        "row 5: it has 4 fields and the header has 3",
        "row 6: it holds a NUL byte",
        "row 7: \"101\": it is an extension",
        "row 8: 2 of 3 fields",
    ] {
        assert!(said.contains(line), "{line:?} is missing in:\n{said}");
    }
    are_known(&setup.start().await, &[("+14165550301", "Ann"), ("+14165550303", "Cat"), ("+14165550308", "Hal")]).await;
}

#[tokio::test]
async fn an_unusable_number_loses_no_row_and_rows_with_one_id_are_one_customer() {
    let setup = Setup::on(Store::Sqlite);
    let file = "id,name,phone\n1,Ann,416-555-0301\n1,,416-555-0302\n2,Bob,+1855201XXXX\n";
    let (status, said) = import(&setup, file, &[]).await;
    assert!(status.success(), "no row was lost:\n{said}");
    for line in ["2 customers with 2 numbers from 3 rows", "row 3: id \"1\"", "row 4: \"+1855201XXXX\""] {
        assert!(said.contains(line), "{line:?} is missing in:\n{said}");
    }
    are_known(&setup.start().await, &[("+14165550301", "Ann"), ("+14165550302", "Ann")]).await;
}

#[tokio::test]
async fn what_is_no_table_of_customers_is_refused_and_says_what_is_known() {
    let setup = Setup::on(Store::Sqlite);
    for (file, words) in [
        ("sku,price\n1,2\n", &["\"sku\", \"price\"", "First Name", "Business Phone"][..]),
        ("", &["empty"]),
        ("id,name,phone\n", &["no rows"]),
        ("PK\x03\x04", &["save the table as CSV"]),
    ] {
        let (status, said) = import(&setup, file, &[]).await;
        assert!(!status.success() && words.iter().all(|word| said.contains(word)), "{file:?}: {said}");
    }
    let (status, said) = setup.run(&["customers", "import", "/no/such/file.csv"]).await;
    assert!(!status.success() && said.contains("file.csv"), "{said}");
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_stores_nothing() {
    let setup = Setup::on(Store::Sqlite);
    let file = "id,name,phone\n1,Ann,416-555-0301\n2,Bob,101\n";
    let (status, said) = import(&setup, file, &["--dry-run"]).await;
    assert!(status.success() && said.contains("2 customers with 1 number from 2 rows would be imported"), "{said}");
    assert!(said.contains("row 3: \"101\""), "{said}");
    assert!(!setup.data_dir().exists(), "not even a database was made");
}

#[tokio::test]
async fn vcards_of_every_version_are_imported_and_a_broken_card_costs_itself() {
    let setup = Setup::on(Store::Sqlite);
    let cards = "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Roy;Ren=C3=A9;;;\r\nTEL;CELL:416-555-0301\r\n\
                 TEL;FAX:416-555-0399\r\nEND:VCARD\r\n\
                 BEGIN:VCARD\nVERSION:3.0\nFN:Ann Lee\nUID:ann-1\nORG:Quill Works;Sales\nTEL;TYPE=HOME:+1 (416)\n  555-0302\n\
                 TEL;TYPE=WORK:416-555-0303\nEMAIL:ann@x.test\nEND:VCARD\n\
                 BEGIN:VCARD\nVERSION:4.0\nFN:Lost\nBEGIN:VCARD\nVERSION:4.0\nFN:Bob May\nTEL;VALUE=uri:tel:+1-416-555-0304\nTEL:204\nEND:VCARD\n";
    let (status, said) = import(&setup, cards, &["--dry-run"]).await;
    assert!(!status.success() && said.contains("3 customers with 4 numbers from 4 cards would be imported"), "{said}");
    assert!(!setup.data_dir().exists(), "nothing is written");
    let (status, said) = import(&setup, cards, &[]).await;
    assert!(!status.success(), "{said}");
    for line in [
        "3 customers with 4 numbers from 4 cards imported",
        "3 of them are new, 0 replaced",
        "card 3: it has no END:VCARD",
        "card 4: \"204\": it is an extension",
    ] {
        assert!(said.contains(line), "{line:?} is missing in:\n{said}");
    }
    let app = setup.start().await;
    are_known(
        &app,
        &[
            ("+14165550301", "René Roy"),
            ("+14165550302", "Ann Lee"),
            ("+14165550303", "Ann Lee"),
            ("+14165550304", "Bob May"),
        ],
    )
    .await;
    assert_eq!(app.active_call("+14165550302").await.unwrap()["customer_id"], "ann-1");
    app.ring("fax", "+14165550399").await;
    assert_eq!(app.active_call("fax").await.unwrap()["customer_id"], Value::Null);
    let found = app.get_json("/api/customers?q=quill").await;
    assert_eq!(found["customers"][0]["company"], "Quill Works");
}

#[tokio::test]
async fn a_dry_run_says_who_would_be_new_and_writes_nothing() {
    let setup = Setup::on(Store::Sqlite);
    assert!(import(&setup, "id,name,phone\n1,Ann,416-555-0301\n2,Bob,416-555-0302\n", &[]).await.0.success());
    let database = setup.data_dir().join("caller-popup.sqlite");
    let files = || {
        let all = std::fs::read_dir(setup.data_dir()).unwrap().map(|file| file.unwrap().path());
        // Readers note in it what they read.
        let all = all.filter(|path| !path.to_string_lossy().ends_with("-shm"));
        let mut all: Vec<_> = all.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        all.sort();
        all
    };
    let before = files();
    let next = "id,name,phone\n2,Robert,416-555-0302\n3,Cat,416-555-0303\n4,Dan,416-555-0304\n";
    let (status, said) = import(&setup, next, &["--dry-run"]).await;
    assert!(status.success() && said.contains("2 of them are new, 1 would replace what was stored"), "{said}");
    assert!(files() == before, "no file has changed");
    let (status, said) = import(&setup, next, &[]).await;
    assert!(status.success() && said.contains("2 of them are new, 1 replaced what was stored"), "{said}");
    assert!(std::fs::read(database).unwrap() != before[0].1);
}

#[tokio::test]
async fn an_import_that_is_killed_goes_on_where_it_was_and_doubles_nothing() {
    const MANY: usize = 10_000;
    let setup = Setup::on(Store::Sqlite);
    let rows: String =
        (0..MANY).map(|n| format!("c{n:05},One of many,416 {:03} {:04}\n", 200 + n / 10_000, n % 10_000)).collect();
    let file = setup.write_file("many.csv", format!("id,name,phone\n{rows}"));
    let import = || setup.command().arg("customers").arg("import").arg(&file).spawn().unwrap();
    let database = setup.data_dir().join("caller-popup.sqlite");
    let count = |sql: &str| {
        let db = Connection::open(&database).ok()?;
        db.busy_timeout(Duration::from_secs(5)).ok()?;
        db.query_row(sql, [], |row| row.get::<_, i64>(0)).ok().map(|count| count as usize)
    };
    let mut first = import();
    let stored = within(Duration::from_secs(60), "some customers", async || {
        count("SELECT count(*) FROM customers").filter(|_| database.exists()).filter(|stored| *stored > 0)
    })
    .await;
    first.kill().await.unwrap();
    assert!(stored < MANY, "it was killed in the middle");
    // What was stored is not stored again.
    Connection::open(&database).unwrap().execute("DELETE FROM customers WHERE id = 'c00000'", []).unwrap();
    let file = file.display().to_string();
    let output = setup.command().args(["customers", "import", &file]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("this one went on there"), "{said}");
    assert_eq!(count("SELECT count(*) FROM customers"), Some(MANY - 1));
    assert_eq!(count("SELECT count(*) FROM customer_phones"), Some(MANY - 1));
    assert_eq!(count("SELECT count(*) FROM customer_search"), Some(MANY - 1));
    // The next import of the file begins at its beginning.
    let output = setup.command().args(["customers", "import", &file]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !said.contains("went on"), "{said}");
    assert_eq!(count("SELECT count(*) FROM customers"), Some(MANY));
}

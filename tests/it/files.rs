//! The files of the pages: addresses, types, compression, how long browsers keep them.

use crate::support::{Store, TestApp, header};

#[tokio::test]
async fn files_are_served_at_their_documented_addresses_and_with_their_types() {
    let app = TestApp::start(Store::Sqlite).await;
    let html = "text/html; charset=utf-8";
    let script = "text/javascript; charset=utf-8";
    for (path, kind) in [
        ("/", html),
        ("/index.html", html),
        ("/demo.html", html),
        ("/api.html", html),
        ("/customer.html", html),
        ("/call-popup.js", script),
        ("/widget/call-popup.js", script),
        ("/tokens.css", "text/css; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
        ("/call-popup.d.ts", "text/plain; charset=utf-8"),
        ("/custom-elements.json", "application/json"),
    ] {
        let answer = app.client.get(app.url(path)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (200, kind), "{path}");
    }
}

#[tokio::test]
async fn files_are_compressed_for_those_who_accept_it_and_known_again_by_their_etag() {
    let app = TestApp::start(Store::Sqlite).await;
    let ask = async |path: &str, accepts: &str, known: &str| {
        let ask = app.client.get(app.url(path)).header("Accept-Encoding", accepts).header("If-None-Match", known);
        ask.send().await.unwrap()
    };
    for path in ["/", "/call-popup.js", "/call-popup.d.ts", "/dashboard/dashboard.css"] {
        let (plain, gzip) = (ask(path, "identity", "").await, ask(path, "gzip, deflate, br", "").await);
        assert_eq!((header(&plain, "content-encoding"), header(&gzip, "content-encoding")), ("", "gzip"), "{path}");
        let (plain_tag, gzip_tag) = (header(&plain, "etag").to_owned(), header(&gzip, "etag").to_owned());
        assert_ne!(plain_tag, gzip_tag, "{path}: two forms, two tags");
        for answer in [&plain, &gzip] {
            assert!(header(answer, "vary").contains("accept-encoding"), "{path}");
        }
        let (plain, gzip) = (plain.bytes().await.unwrap(), gzip.bytes().await.unwrap());
        assert!(gzip.len() < plain.len() / 2, "{path}: {} of {} bytes", gzip.len(), plain.len());
        assert_eq!(gunzipped(&gzip), plain, "{path}");
        for known in [gzip_tag.clone(), format!("\"other\", W/{gzip_tag}")] {
            let again = ask(path, "gzip", &known).await;
            assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, gzip_tag.as_str()), "{path}");
            assert!(header(&again, "vary").contains("accept-encoding"), "{path}");
        }
        assert_eq!(ask(path, "identity", &gzip_tag).await.status(), 200, "{path}: the other form is not known");
    }
}

#[tokio::test]
async fn pages_name_their_files_by_addresses_that_browsers_keep_for_ever() {
    let app = TestApp::start(Store::Sqlite).await;
    let get = async |path: &str| app.client.get(app.url(path)).send().await.unwrap();
    for path in ["/", "/demo.html", "/api.html", "/customer.html"] {
        let page = get(path).await;
        assert_eq!(header(&page, "cache-control"), "no-cache", "{path}");
        let page = page.text().await.unwrap();
        let parts = page.split(['"', ' ']).filter(|part| part.ends_with(".js") || part.ends_with(".css"));
        let files: Vec<_> = parts.map(|part| format!("/{part}")).collect();
        assert!(files.len() >= 3, "{path}: {files:?}");
        for file in files {
            assert!(file.starts_with("/static/"), "{path} names {file}");
            let answer = get(&file).await;
            assert_eq!(header(&answer, "cache-control"), "public, max-age=31536000, immutable", "{file}");
            let stable = get(&file["/static/0123456789abcdef".len()..]).await;
            assert_eq!(header(&stable, "cache-control"), "no-cache", "{file}");
            assert_eq!(answer.bytes().await.unwrap(), stable.bytes().await.unwrap(), "{file}");
        }
    }
    let other = get("/static/0123456789abcdef/tokens.css").await;
    assert_eq!((other.status().as_u16(), header(&other, "cache-control")), (200, "no-cache"), "another version's");
    let widget = get("/call-popup.js").await;
    assert!(header(&widget, "cache-control").starts_with("public, max-age=300,"));
    let widget = widget.text().await.unwrap();
    assert!(!widget.contains("\nimport "), "everything in one file");
    assert!(widget.trim_end().ends_with("export const { CallPopup } = $widget_call_popup;"));
}

fn gunzipped(content: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(content), &mut plain).expect("it is gzip");
    plain
}

#[tokio::test]
async fn files_for_tools_are_not_served() {
    let app = TestApp::start(Store::Sqlite).await;
    for path in
        ["/package.json", "//package.json", "/package.json/", "/tests/widget/package.json", "/lib/%2e%2e/package.json"]
    {
        let answer = app.client.get(app.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
}

//! A real nginx with the site of `deploy/nginx.conf`, on a free port and without TLS.

use std::net::TcpListener;
use std::path::Path;
use std::process::ChildStdin;

use super::process::start_helper;
use super::{TestApp, eventually};

/// Lines of the site that a test replaces: what they begin with.
const TLS: [&str; 3] = ["ssl_certificate ", "ssl_certificate_key ", "ssl_protocols "];

/// nginx, until it is dropped.
pub struct Nginx {
    /// `127.0.0.1:PORT`.
    pub address: String,
    _alive: ChildStdin,
}

impl Nginx {
    /// In front of two instances.
    pub async fn start(first: &TestApp, second: &TestApp) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made").keep();
        let held = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = held.local_addr().expect("it is bound").to_string();
        let logs = folder.display();
        let site = site()
            .replace("127.0.0.1:8080", &first.address)
            .replace("#server 127.0.0.1:8081", &format!("server {}", second.address))
            .replace("listen 443 ssl http2;", &format!("listen {address};"))
            .replace("listen [::]:443 ssl http2;", "")
            .replace("listen 80;", &format!("listen unix:{logs}/80.sock;"))
            .replace("listen [::]:80;", "")
            .replace("/var/log/nginx", &logs.to_string());
        for replaced in ["127.0.0.1:8080", "127.0.0.1:8081", "listen 443", "listen [::]", "/var/log"] {
            assert!(!site.contains(replaced), "{replaced} in {site}");
        }
        let site: Vec<_> = site.lines().filter(|line| !TLS.iter().any(|tls| line.trim().starts_with(tls))).collect();
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String = paths.iter().map(|path| format!("{path}_temp_path {path};\n")).collect();
        let whole = format!(
            "daemon off;\nmaster_process off;\npid pid;\nerror_log error.log;\nevents {{ worker_connections 1024; }}\nhttp {{\n\
             {temporary}{}\n}}\n",
            site.join("\n")
        );
        std::fs::write(folder.join("nginx.conf"), whole).expect("a file can be written");
        let prefix = folder.display().to_string();
        drop(held);
        let log = folder.join("error.log");
        let started = start_helper(&program(), &["-p", &prefix, "-c", "nginx.conf", "-e", "error.log"], folder);
        let (alive, _) = started.expect("run scripts/test, which brings nginx, or set NGINX");
        eventually(format!("nginx listens ({})", log.display()), async || {
            tokio::net::TcpStream::connect(&address).await.ok()
        })
        .await;
        Self { address, _alive: alive }
    }
}

fn site() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nginx.conf");
    std::fs::read_to_string(path).expect("the site is in the repository")
}

fn program() -> String {
    match std::env::var("NGINX") {
        Ok(program) if !program.is_empty() => program,
        _ if Path::new("/usr/sbin/nginx").exists() => "/usr/sbin/nginx".into(),
        _ => "nginx".into(),
    }
}

//! Reads the variables, and collects what is wrong with them.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::Url;

use super::environment;
use super::{AccessConfig, Config, Credentials, CustomersConfig, JwtKey, MongoConfig, RingCentralConfig, TracesConfig};
use crate::phone::Region;

/// RingCentral rejects longer verification tokens with CMN-101.
const LONGEST_VERIFICATION_TOKEN: usize = 32;
/// RFC 7518: a key of HS256 is at least as long as its digest.
const SHORTEST_JWT_SECRET: usize = 32;

/// So long that guessing one at the limit on strangers takes months.
const SHORTEST_VERIFICATION_TOKEN: usize = 6;
const SHORTEST_API_TOKEN: usize = 16;
/// A random text has more different characters, also one of digits.
const FEWEST_CHARACTERS: usize = 4;
/// A text this short that is repeated is as easy to guess as once.
const LONGEST_UNIT: usize = 4;

/// Levels of a log, as a filter says them.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Codes that are often written for another.
const MISTAKEN_REGIONS: [(&str, &str); 2] = [("UK", "GB"), ("USA", "US")];
/// Options of a connection string that name a file.
const FILE_OPTIONS: [&str; 2] = ["tlsCAFile=", "tlsCertificateKeyFile="];

/// The variables, and the problems found so far.
pub(super) struct Reader<F> {
    var: F,
    /// Every name that was asked for: the settings there are.
    known: RefCell<BTreeSet<String>>,
    pub(super) problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    pub(super) fn new(var: F) -> Self {
        Self { var, known: RefCell::default(), problems: Vec::new() }
    }

    /// Finds names that are typing errors. Those whose setting is there too belong to another program.
    pub(super) fn check_names(&mut self, names: &[String], unreadable: &[String]) {
        let known = self.known.take();
        for name in names.iter().filter(|name| !known.contains(*name)) {
            let meant = environment::meant(name, known.iter().map(String::as_str));
            if let Some(meant) = meant.filter(|meant| !names.iter().any(|name| name == meant)) {
                self.problem(name, "is no setting", &format!("write {meant}, or remove it"));
            }
        }
        for name in unreadable.iter().filter(|name| known.contains(*name)) {
            self.problem(name, "is not UTF-8", "write it as UTF-8");
        }
    }

    pub(super) fn config(&mut self) -> Config {
        let config = Config {
            bind: self.parsed("BIND", "127.0.0.1:8080", "an address and a port such as 127.0.0.1:8080"),
            public_url: self.public_url(),
            mongodb: self.mongodb(),
            data_dir: self.text("DATA_DIR").unwrap_or("data".into()).into(),
            poll_interval: Duration::from_millis(self.within("POLL_INTERVAL_MS", 2000, 100, 60_000)),
            region: self.region(),
            customers: CustomersConfig {
                collection: self.text("CUSTOMERS_COLLECTION").unwrap_or("customers".into()),
                phone_fields: self.list("CUSTOMER_PHONE_FIELDS", &["phone", "mobile", "phones"]),
                name_fields: self.list("CUSTOMER_NAME_FIELDS", &["name"]),
                email_field: self.text("CUSTOMER_EMAIL_FIELD").unwrap_or("email".into()),
                company_field: self.text("CUSTOMER_COMPANY_FIELD").unwrap_or("company".into()),
                rescan: Duration::from_secs(self.within("CUSTOMERS_RESCAN_SECONDS", 300, 1, 86_400)),
            },
            customer_url: self.customer_url(),
            ringcentral: self.ringcentral(),
            access: self.access(),
            retention_days: self.within("RETENTION_DAYS", 365, 1, 36_500) as u32,
            log: self.log(),
            log_json: self.log_format(),
            traces: self.traces(),
        };
        if config.is_local_mode() && !config.bind.ip().is_loopback() {
            self.problem(
                "BIND",
                "is reachable from other machines, but nothing says who may read",
                "set API_TOKENS, JWT_SECRET or JWT_PUBLIC_KEY, or RINGCENTRAL_CLIENT_ID with RINGCENTRAL_REDIRECT_URI; \
                 or bind to 127.0.0.1",
            );
        }
        config
    }

    fn mongodb(&mut self) -> Option<MongoConfig> {
        let uri = self.text("MONGODB_URI").or_else(|| self.text("MONGO_URL"));
        let database = self.text("MONGODB_DATABASE").or_else(|| self.text("DB_NAME"));
        let database = database.unwrap_or("caller_popup".into());
        if database.contains(['/', '\\', '.', ' ', '"', '$']) || database.len() > 63 {
            self.problem("MONGODB_DATABASE", "is no database name", "use letters, digits, - and _");
        }
        let uri = uri?;
        if !uri.starts_with("mongodb://") && !uri.starts_with("mongodb+srv://") {
            self.problem("MONGODB_URI", "is no connection string", "begin it with mongodb:// or mongodb+srv://");
        }
        Some(MongoConfig { uri: self.with_credentials(uri), database })
    }

    /// The connection string with the paths of files among the service's credentials.
    fn with_credentials(&self, uri: String) -> String {
        let Some((hosts, options)) = uri.split_once('?') else { return uri };
        let credentials = self.text("CREDENTIALS_DIRECTORY");
        let options = options.split('&').map(|option| {
            let named = FILE_OPTIONS.iter().find_map(|name| Some((name, option.strip_prefix(name)?)));
            named.map_or_else(
                || option.to_owned(),
                |(name, file)| format!("{name}{}", environment::file(file, credentials.as_deref()).display()),
            )
        });
        format!("{hosts}?{}", options.collect::<Vec<_>>().join("&"))
    }

    fn ringcentral(&mut self) -> RingCentralConfig {
        let client_id = self.text("RINGCENTRAL_CLIENT_ID");
        let secret = self.text("RINGCENTRAL_CLIENT_SECRET");
        let jwt = self.text("RINGCENTRAL_JWT_TOKEN");
        if jwt.is_some() && (client_id.is_none() || secret.is_none()) {
            self.problem(
                "RINGCENTRAL_JWT_TOKEN",
                "is set without the app's id or secret",
                "set RINGCENTRAL_CLIENT_ID and RINGCENTRAL_CLIENT_SECRET from the app's page in the developer console",
            );
        }
        let credentials = match (&client_id, &secret, jwt) {
            (Some(id), Some(secret), Some(jwt)) => {
                Some(Credentials { client_id: id.clone(), client_secret: secret.clone(), jwt })
            }
            _ => None,
        };
        let verification_token = self.text("RINGCENTRAL_VERIFICATION_TOKEN");
        if let Some(token) = &verification_token
            && (token.len() > LONGEST_VERIFICATION_TOKEN || !token.bytes().all(|b| b.is_ascii_graphic()))
        {
            self.problem(
                "RINGCENTRAL_VERIFICATION_TOKEN",
                "is more than RingCentral accepts",
                "use at most 32 ASCII letters and digits",
            );
        } else if verification_token.as_ref().is_some_and(|token| is_weak(token, SHORTEST_VERIFICATION_TOKEN)) {
            self.problem(
                "RINGCENTRAL_VERIFICATION_TOKEN",
                "can be guessed",
                "use 32 random characters, for example from `openssl rand -hex 16`",
            );
        }
        RingCentralConfig {
            credentials,
            client_id,
            client_secret: secret,
            account_id: self.text("RINGCENTRAL_ACCOUNT_ID").unwrap_or("~".into()),
            server_url: self
                .url("RINGCENTRAL_SERVER_URL")
                .unwrap_or(Url::parse("https://platform.ringcentral.com").expect("this URL is well formed")),
            redirect_uri: self.url("RINGCENTRAL_REDIRECT_URI"),
            verification_token,
        }
    }

    fn access(&mut self) -> AccessConfig {
        let access = AccessConfig {
            api_tokens: self.list("API_TOKENS", &[]),
            jwt_key: self.jwt_key(),
            jwt_audience: self.text("JWT_AUDIENCE"),
            allowed_origins: self.list("ALLOWED_ORIGINS", &[]),
            trusted_proxies: self.trusted_proxies(),
        };
        if access.api_tokens.iter().any(|token| is_weak(token, SHORTEST_API_TOKEN)) {
            self.problem(
                "API_TOKENS",
                "holds a token that can be guessed",
                "use at least 16 random characters each, for example from `openssl rand -hex 24`",
            );
        }
        if access.jwt_audience.is_some() && access.jwt_key.is_none() {
            self.problem("JWT_AUDIENCE", "is set without a key", "set JWT_SECRET or JWT_PUBLIC_KEY too");
        }
        for origin in &access.allowed_origins {
            let parsed = Url::parse(origin).ok().filter(|url| url.origin().ascii_serialization() == *origin);
            if parsed.is_none() {
                self.problem(
                    "ALLOWED_ORIGINS",
                    &format!("holds {origin:?}"),
                    "write origins such as https://crm.example.com",
                );
            }
        }
        access
    }

    fn trusted_proxies(&mut self) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for item in self.list("TRUSTED_PROXIES", &[]) {
            let address = || item.parse::<IpAddr>().ok().map(IpNet::from);
            match item.parse::<IpNet>().ok().or_else(address) {
                Some(network) => networks.push(network.trunc()),
                None => self.problem(
                    "TRUSTED_PROXIES",
                    &format!("holds {item:?}"),
                    "write addresses or networks such as 127.0.0.1 or 10.0.0.0/8",
                ),
            }
        }
        networks
    }

    fn jwt_key(&mut self) -> Option<JwtKey> {
        let (secret, public) = (self.text("JWT_SECRET"), self.text("JWT_PUBLIC_KEY"));
        if secret.is_some() && public.is_some() {
            self.problem("JWT_PUBLIC_KEY", "is set beside JWT_SECRET", "set the one that your application signs with");
        }
        if secret.as_ref().is_some_and(|secret| secret.len() < SHORTEST_JWT_SECRET) {
            self.problem("JWT_SECRET", "is too short for HS256", "use at least 32 random characters");
        } else if secret.as_ref().is_some_and(|secret| is_weak(secret, SHORTEST_JWT_SECRET)) {
            self.problem("JWT_SECRET", "can be guessed", "use at least 32 random characters");
        }
        if let Some(secret) = secret {
            return Some(JwtKey::Hs256(secret));
        }
        let written = public?;
        let pem = match written.contains("-----BEGIN") {
            // Where a setting must be one line, line ends are written out.
            true => written.replace("\\n", "\n"),
            false => self.key_file(&written)?,
        };
        let key = JwtKey::public(pem);
        if key.is_none() {
            self.problem(
                "JWT_PUBLIC_KEY",
                "is no public key that can be used",
                "give the PEM of an RSA or P-256 public key (-----BEGIN PUBLIC KEY-----), or the path of its file",
            );
        }
        key
    }

    fn key_file(&mut self, name: &str) -> Option<String> {
        let file = environment::file(name, self.text("CREDENTIALS_DIRECTORY").as_deref());
        let read = std::fs::read_to_string(file);
        if let Err(cause) = &read {
            // What was written may be a key without its first line, so it is not repeated.
            self.problem(
                "JWT_PUBLIC_KEY",
                &format!("names a file that cannot be read ({})", cause.kind()),
                "give the PEM of a public key (-----BEGIN PUBLIC KEY-----), or the path of a file that this user can read; under \
                 systemd, LoadCredential= and the credential's name",
            );
        }
        read.ok()
    }

    fn customer_url(&mut self) -> String {
        let url = self.text("CUSTOMER_URL").unwrap_or("/customers/{id}".into());
        let safe =
            url.starts_with('/') && !url.starts_with("//") || url.starts_with("https://") || url.starts_with("http://");
        if !url.contains("{id}") || !safe {
            self.problem("CUSTOMER_URL", "leads to no customer", "write a path or an http(s) address that holds {id}");
        }
        url
    }

    fn public_url(&mut self) -> Option<Url> {
        let url = self.url("PUBLIC_URL")?;
        if !url.username().is_empty() || url.password().is_some() {
            self.problem("PUBLIC_URL", "holds a name or password", "leave the name and password away");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            self.problem(
                "PUBLIC_URL",
                "holds more than a host and a port",
                "leave the path away, because the program answers at the root of a host, such as https://calls.example.com",
            );
        }
        Some(url)
    }

    fn region(&mut self) -> Region {
        let written = self.text("DEFAULT_REGION").unwrap_or_default().to_ascii_uppercase();
        match MISTAKEN_REGIONS.iter().find(|(mistaken, _)| *mistaken == written) {
            Some((mistaken, code)) => {
                self.problem("DEFAULT_REGION", &format!("is {mistaken}"), &format!("use {code}"));
                code.parse().expect("these are codes of countries")
            }
            None => self.parsed("DEFAULT_REGION", "US", "a two-letter country code such as US, CA or GB"),
        }
    }

    /// The log's filter. A word without a level would be a module of which everything is logged, and nothing else is: `LOG=verbose`
    /// would log nothing.
    fn log(&mut self) -> String {
        let log = self.text("LOG").unwrap_or("info".into());
        let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
        let is_ours = |word: &str| word.starts_with(env!("CARGO_CRATE_NAME")) || word.contains('[');
        let known = |word: &str| word.contains('=') || is_level(word) || is_ours(word);
        let levels = "use error, warn, info, debug or trace, also by module: info,caller_popup=debug";
        if tracing_subscriber::EnvFilter::try_new(&log).is_err() {
            self.problem("LOG", "is no tracing filter", levels);
        } else if let Some(word) = log.split(',').map(str::trim).find(|word| !word.is_empty() && !known(word)) {
            let cure = format!("{levels}, or {word}=debug for a module of that name");
            self.problem("LOG", &format!("holds {word:?}, which is no level"), &cure);
        }
        log
    }

    fn traces(&mut self) -> Option<TracesConfig> {
        let protocol = self.text("OTEL_EXPORTER_OTLP_PROTOCOL");
        if protocol.is_some_and(|protocol| protocol != "http/protobuf") {
            self.problem("OTEL_EXPORTER_OTLP_PROTOCOL", "is not spoken here", "use http/protobuf, or leave it away");
        }
        let service = self.text("OTEL_SERVICE_NAME").unwrap_or("caller-popup".into());
        let endpoint = self.text("OTEL_EXPORTER_OTLP_ENDPOINT")?;
        // A collector on a private network mostly speaks plain http, and spans hold nothing of anybody's.
        let endpoint = Url::parse(&endpoint).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        if endpoint.is_none() {
            let cure = "use the address of a receiver of OTLP over HTTP, such as http://127.0.0.1:4318";
            self.problem("OTEL_EXPORTER_OTLP_ENDPOINT", "is no http(s) address", cure);
        }
        Some(TracesConfig { endpoint: endpoint?, service })
    }

    fn log_format(&mut self) -> bool {
        match self.text("LOG_FORMAT").as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(_) => {
                self.problem("LOG_FORMAT", "is unknown", "use text or json");
                false
            }
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        self.known.borrow_mut().insert(name.to_owned());
        (self.var)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn list(&self, name: &str, default: &[&str]) -> Vec<String> {
        let Some(text) = self.text(name) else { return default.iter().map(|&item| item.to_owned()).collect() };
        let mut seen = HashSet::new();
        let items = text.split(',').map(|item| item.trim().to_owned());
        items.filter(|item| !item.is_empty() && seen.insert(item.clone())).collect()
    }

    fn parsed<T: FromStr>(&mut self, name: &str, default: &str, expected: &str) -> T {
        let parse = |text: &str| text.parse::<T>().ok();
        if let Some(text) = self.text(name) {
            match parse(&text) {
                Some(value) => return value,
                None => self.problem(name, &format!("is {text:?}"), &format!("use {expected}")),
            }
        }
        parse(default).expect("defaults are valid")
    }

    fn within(&mut self, name: &str, default: u64, least: u64, most: u64) -> u64 {
        let value = self.parsed(name, &default.to_string(), "a whole number");
        if !(least..=most).contains(&value) {
            self.problem(name, &format!("is {value}"), &format!("use a number from {least} to {most}"));
        }
        value
    }

    fn url(&mut self, name: &str) -> Option<Url> {
        let text = self.text(name)?;
        // Plain http is right for a test platform or a proxy on this machine, and a leak anywhere else.
        let is_safe = |url: &Url| url.scheme() == "https" || (url.scheme() == "http" && super::is_this_machine(url));
        let url = Url::parse(&text).ok().filter(is_safe);
        if url.is_none() {
            // It may hold a password.
            self.problem(name, "is no https address", "use an address such as https://calls.example.com");
        }
        url
    }

    fn problem(&mut self, name: &str, problem: &str, cure: &str) {
        self.problems.push(format!("{name} {problem}: {cure}."));
    }
}

/// Whether a secret can be guessed: it is short, of few different characters, or the same few again and again.
fn is_weak(secret: &str, shortest: usize) -> bool {
    let characters: Vec<char> = secret.chars().collect();
    let different: HashSet<&char> = characters.iter().collect();
    let repeats =
        |unit: usize| characters.len() > unit && characters.windows(unit + 1).all(|some| some[0] == some[unit]);
    characters.len() < shortest || different.len() < FEWEST_CHARACTERS || (1..=LONGEST_UNIT).any(repeats)
}

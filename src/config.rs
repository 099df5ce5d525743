//! Settings: from the environment or `.env`, typed, every problem reported at once with its cure.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use reqwest::Url;

use crate::phone::Region;

/// RingCentral rejects longer verification tokens with CMN-101.
const LONGEST_VERIFICATION_TOKEN: usize = 32;
/// RFC 7518: a key of HS256 is at least as long as its digest.
const SHORTEST_JWT_SECRET: usize = 32;
/// A point of P-256, uncompressed; those of other curves are longer.
const P256_POINT: usize = 65;

/// Everything the service is told from outside.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub bind: SocketAddr,
    /// What RingCentral and browsers see.
    pub public_url: Option<Url>,
    /// The database of production; without it an embedded file in `data_dir`.
    pub mongodb: Option<MongoConfig>,
    /// Folder of the embedded database.
    pub data_dir: PathBuf,
    /// How often `active_calls` is read to see what others wrote.
    pub poll_interval: Duration,
    /// The country of numbers without a country code.
    pub region: Region,
    /// Where customers stand and what their fields are called.
    pub customers: CustomersConfig,
    /// Where "View Customer" goes; holds `{id}`.
    pub customer_url: String,
    /// The RingCentral app.
    pub ringcentral: RingCentralConfig,
    /// Who may read.
    pub access: AccessConfig,
    /// How long ended calls are kept.
    pub retention_days: u32,
    /// The tracing filter.
    pub log: String,
    /// Logs as JSON lines instead of text.
    pub log_json: bool,
}

/// A MongoDB deployment and the database in it.
#[derive(Clone)]
pub struct MongoConfig {
    /// The connection string; holds a password, so it never stands in a log.
    pub uri: String,
    /// The database's name.
    pub database: String,
}

/// How to read the host application's customers.
#[derive(Clone, Debug)]
pub struct CustomersConfig {
    /// The collection.
    pub collection: String,
    /// Dotted paths of phone numbers.
    pub phone_fields: Vec<String>,
    /// Dotted paths whose texts, joined by a space, are the name.
    pub name_fields: Vec<String>,
    /// Dotted path of the email address.
    pub email_field: String,
}

/// The RingCentral app and how to reach the platform.
#[derive(Clone)]
pub struct RingCentralConfig {
    /// Server-to-server credentials, when complete.
    pub credentials: Option<Credentials>,
    /// The app's id, which sign-in needs too.
    pub client_id: Option<String>,
    /// The app's secret, which sign-in sends too; a public app has none.
    pub client_secret: Option<String>,
    /// The account, `~` for the credentials' own.
    pub account_id: String,
    /// The platform.
    pub server_url: Url,
    /// Where sign-in returns to.
    pub redirect_uri: Option<Url>,
    /// What every notification carries in `Verification-Token`.
    pub verification_token: Option<String>,
}

/// What the JWT grant takes.
#[derive(Clone)]
pub struct Credentials {
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: String,
    /// The service user's JWT; exchanged for a token, never sent as one.
    pub jwt: String,
}

/// Who may read.
#[derive(Clone, Default)]
pub struct AccessConfig {
    /// Bearer tokens of admins; several for rotation.
    pub api_tokens: Vec<String>,
    /// What the host application's JWTs are checked with.
    pub jwt_key: Option<JwtKey>,
    /// Whom they must be made for.
    pub jwt_audience: Option<String>,
    /// Origins whose pages may read across origins.
    pub allowed_origins: Vec<String>,
}

/// The key of the host application's JWTs. Its kind is the only algorithm they may use.
#[derive(Clone)]
pub enum JwtKey {
    /// A secret we share with it.
    Hs256(String),
    /// The PEM of its RSA public key.
    Rs256(String),
    /// The PEM of its public key on the curve P-256.
    Es256(String),
}

impl Config {
    /// Reads every setting through `var`; an empty value counts as unset.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        let mut reader = Reader { var, problems: Vec::new() };
        let config = reader.config();
        if reader.problems.is_empty() { Ok(config) } else { Err(Problems(reader.problems)) }
    }

    /// Nothing says who may read, so only this machine may.
    pub fn is_local_mode(&self) -> bool {
        let access = &self.access;
        access.api_tokens.is_empty() && access.jwt_key.is_none() && !self.ringcentral.has_sign_in()
    }
}

impl JwtKey {
    /// A public key and its kind; `None` also for a private key, which has no business here.
    fn public(pem: String) -> Option<Self> {
        let is_p256 = |key: &DecodingKey| key.try_get_as_bytes().is_ok_and(|point| point.len() == P256_POINT);
        if pem.contains("PRIVATE KEY") {
            None
        } else if DecodingKey::from_rsa_pem(pem.as_bytes()).is_ok() {
            Some(Self::Rs256(pem))
        } else {
            DecodingKey::from_ec_pem(pem.as_bytes()).is_ok_and(|key| is_p256(&key)).then_some(Self::Es256(pem))
        }
    }
}

impl RingCentralConfig {
    /// Browsers can sign in with RingCentral.
    pub fn has_sign_in(&self) -> bool {
        self.client_id.is_some() && self.redirect_uri.is_some()
    }
}

/// Every setting that is wrong: the variable, the problem, the cure.
#[derive(Debug)]
pub struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} wrong:", if self.0.len() == 1 { "one setting is" } else { "some settings are" })?;
        self.0.iter().try_for_each(|problem| writeln!(f, "  {problem}"))?;
        write!(f, "Set them in the environment or in .env; .env.example explains each.")
    }
}

impl std::error::Error for Problems {}

struct Reader<F> {
    var: F,
    problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn config(&mut self) -> Config {
        let config = Config {
            bind: self.parsed("BIND", "127.0.0.1:8080", "an address and a port such as 127.0.0.1:8080"),
            public_url: self.url("PUBLIC_URL"),
            mongodb: self.mongodb(),
            data_dir: self.text("DATA_DIR").unwrap_or("data".into()).into(),
            poll_interval: Duration::from_millis(self.within("POLL_INTERVAL_MS", 2000, 100, 60_000)),
            region: self.parsed("DEFAULT_REGION", "US", "a two-letter country code such as US, CA or GB"),
            customers: CustomersConfig {
                collection: self.text("CUSTOMERS_COLLECTION").unwrap_or("customers".into()),
                phone_fields: self.list("CUSTOMER_PHONE_FIELDS", &["phone", "mobile", "phones"]),
                name_fields: self.list("CUSTOMER_NAME_FIELDS", &["name"]),
                email_field: self.text("CUSTOMER_EMAIL_FIELD").unwrap_or("email".into()),
            },
            customer_url: self.customer_url(),
            ringcentral: self.ringcentral(),
            access: self.access(),
            retention_days: self.within("RETENTION_DAYS", 365, 1, 36_500) as u32,
            log: self.text("LOG").unwrap_or("info".into()),
            log_json: self.log_format(),
        };
        if tracing_subscriber::EnvFilter::try_new(&config.log).is_err() {
            self.problem("LOG", "is no tracing filter", "use a level such as info, or info,caller_popup=debug");
        }
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
        Some(MongoConfig { uri, database })
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
        };
        if access.api_tokens.iter().any(|token| token.len() < 16) {
            self.problem("API_TOKENS", "holds a token that can be guessed", "use at least 16 random characters each");
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

    fn jwt_key(&mut self) -> Option<JwtKey> {
        let (secret, public) = (self.text("JWT_SECRET"), self.text("JWT_PUBLIC_KEY"));
        if secret.is_some() && public.is_some() {
            self.problem("JWT_PUBLIC_KEY", "is set beside JWT_SECRET", "set the one that your application signs with");
        }
        if secret.as_ref().is_some_and(|secret| secret.len() < SHORTEST_JWT_SECRET) {
            self.problem("JWT_SECRET", "is too short for HS256", "use at least 32 random characters");
        }
        if let Some(secret) = secret {
            return Some(JwtKey::Hs256(secret));
        }
        let written = public?;
        let pem = match written.contains("-----BEGIN") {
            // Where a setting must be one line, line ends are written out.
            true => Some(written.replace("\\n", "\n")),
            false => std::fs::read_to_string(&written).ok(),
        };
        let key = pem.and_then(JwtKey::public);
        if key.is_none() {
            self.problem(
                "JWT_PUBLIC_KEY",
                "is no public key that can be used",
                "give the PEM of an RSA or P-256 public key (-----BEGIN PUBLIC KEY-----), or the path of its file",
            );
        }
        key
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
        let local = |url: &Url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let url =
            Url::parse(&text).ok().filter(|url| url.scheme() == "https" || (url.scheme() == "http" && local(url)));
        if url.is_none() {
            self.problem(name, &format!("is {text:?}"), "use an https address");
        }
        url
    }

    fn problem(&mut self, name: &str, problem: &str, cure: &str) {
        self.problems.push(format!("{name} {problem}: {cure}."));
    }
}

impl fmt::Debug for MongoConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MongoConfig({})", self.database)
    }
}

impl fmt::Debug for RingCentralConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingCentralConfig({}, credentials: {})", self.server_url, self.credentials.is_some())
    }
}

impl fmt::Debug for AccessConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessConfig({} tokens)", self.api_tokens.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, Problems> {
        Config::from_vars(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn nothing_set_is_a_working_configuration() {
        let config = read(&[]).unwrap();
        assert_eq!(config.bind.to_string(), "127.0.0.1:8080");
        assert!(config.mongodb.is_none() && config.is_local_mode());
    }

    #[test]
    fn every_wrong_setting_is_named_with_its_cure() {
        let problems = read(&[
            ("BIND", "nowhere"),
            ("POLL_INTERVAL_MS", "1"),
            ("DEFAULT_REGION", "Mars"),
            ("RINGCENTRAL_VERIFICATION_TOKEN", "0123456789012345678901234567890123"),
            ("CUSTOMER_URL", "javascript:alert('{id}')"),
            ("MONGODB_URI", "postgres://"),
        ])
        .unwrap_err()
        .to_string();
        for name in [
            "BIND",
            "POLL_INTERVAL_MS",
            "DEFAULT_REGION",
            "RINGCENTRAL_VERIFICATION_TOKEN",
            "CUSTOMER_URL",
            "MONGODB_URI",
        ] {
            assert!(problems.contains(name), "{name} is missing in {problems}");
        }
    }

    #[test]
    fn an_open_address_needs_someone_to_say_who_may_read() {
        assert!(read(&[("BIND", "0.0.0.0:8080")]).unwrap_err().to_string().contains("API_TOKENS"));
        assert!(read(&[("BIND", "0.0.0.0:8080"), ("API_TOKENS", "0123456789abcdef")]).is_ok());
    }

    #[test]
    fn one_key_that_can_be_used_checks_jwts() {
        const PUBLIC: &str = include_str!("../tests/fixtures/host-rsa-public.pem");
        let secret = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");
        let kind = |vars: &[(&str, &str)]| read(vars).unwrap().access.jwt_key.unwrap();
        assert!(matches!(kind(&[secret]), JwtKey::Hs256(_)));
        assert!(matches!(kind(&[("JWT_PUBLIC_KEY", PUBLIC)]), JwtKey::Rs256(_)));
        assert!(matches!(kind(&[("JWT_PUBLIC_KEY", &PUBLIC.replace('\n', "\\n"))]), JwtKey::Rs256(_)));
        let private = PUBLIC.replace("PUBLIC", "PRIVATE");
        for (vars, named) in [
            (vec![secret, ("JWT_PUBLIC_KEY", PUBLIC)], "JWT_PUBLIC_KEY"),
            (vec![("JWT_SECRET", "guess")], "JWT_SECRET"),
            (vec![("JWT_PUBLIC_KEY", &private[..])], "JWT_PUBLIC_KEY"),
            (vec![("JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")], "JWT_PUBLIC_KEY"),
            (vec![("JWT_PUBLIC_KEY", "/there/is/no/such/file")], "JWT_PUBLIC_KEY"),
            (vec![("JWT_AUDIENCE", "calls")], "JWT_AUDIENCE"),
        ] {
            let problems = read(&vars).unwrap_err().to_string();
            assert!(problems.contains(named) && !problems.contains("guess"), "{problems}");
        }
    }

    #[test]
    fn the_guides_names_for_the_database_are_read_too() {
        let config = read(&[("MONGO_URL", "mongodb://localhost"), ("DB_NAME", "crm")]).unwrap();
        assert_eq!(config.mongodb.unwrap().database, "crm");
    }

    #[test]
    fn secrets_never_show_in_debug_output() {
        let config = read(&[("API_TOKENS", "0123456789abcdef"), ("MONGODB_URI", "mongodb://u:hunter2@h")]).unwrap();
        let shown = format!("{config:?}");
        assert!(!shown.contains("0123456789abcdef") && !shown.contains("hunter2"));
    }
}

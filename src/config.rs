//! Settings: from the environment or `.env`, typed, every problem reported at once with its cure.

mod environment;
mod reader;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use jsonwebtoken::DecodingKey;
use reqwest::Url;

use crate::phone::Region;
use reader::Reader;

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
    /// Folder of the embedded database or, beside MongoDB, of the spool.
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
    /// Where traces are sent; by default nowhere.
    pub traces: Option<TracesConfig>,
}

/// A receiver of OpenTelemetry's traces.
#[derive(Clone, Debug)]
pub struct TracesConfig {
    /// It takes OTLP over HTTP in protobuf at `v1/traces` below this.
    pub endpoint: Url,
    /// What this service is called there.
    pub service: String,
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
    /// Dotted path of the company's name.
    pub company_field: String,
    /// How often all customers are read where MongoDB cannot say what changes.
    pub rescan: Duration,
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
    /// Proxies that are believed when they say whose request they forward.
    pub trusted_proxies: Vec<IpNet>,
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
    /// Reads every setting from the environment and `.env`. A name that is one letter away from a setting's is a problem too: what
    /// it was meant to protect would otherwise be open.
    pub fn from_environment() -> Result<Self, Problems> {
        environment::load_dotenv()?;
        let (variables, unreadable) = environment::variables();
        let names: Vec<_> = variables.iter().map(|(name, _)| name.clone()).collect();
        let var = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        Self::read(Reader::new(var), &names, &unreadable)
    }

    /// Reads every setting through `var`; an empty value counts as unset.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        Self::read(Reader::new(var), &[], &[])
    }

    fn read<F: Fn(&str) -> Option<String>>(
        mut reader: Reader<F>,
        names: &[String],
        unreadable: &[String],
    ) -> Result<Self, Problems> {
        let config = reader.config();
        reader.check_names(names, unreadable);
        if reader.problems.is_empty() { Ok(config) } else { Err(Problems(reader.problems)) }
    }

    /// A public address in local mode: requests that come through it are refused.
    pub fn is_unreachable(&self) -> bool {
        self.is_local_mode() && self.public_url.as_ref().is_some_and(|url| !is_this_machine(url))
    }

    /// Nothing says who may read, so only this machine may.
    pub fn is_local_mode(&self) -> bool {
        let access = &self.access;
        access.api_tokens.is_empty() && access.jwt_key.is_none() && !self.ringcentral.has_sign_in()
    }
}

/// Whether an address leads to this machine by its name.
fn is_this_machine(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

impl AccessConfig {
    /// Trusted networks so large that clients are in them too: limits by address are then limits on what a client says.
    pub fn careless_proxies(&self) -> impl Iterator<Item = &IpNet> {
        self.trusted_proxies
            .iter()
            .filter(|network| network.prefix_len() < if network.addr().is_ipv4() { 8 } else { 16 })
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
            ("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/99"),
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
            "TRUSTED_PROXIES",
        ] {
            assert!(problems.contains(name), "{name} is missing in {problems}");
        }
    }

    #[test]
    fn a_value_that_is_often_written_wrong_is_named_with_its_cure() {
        for (name, value, cure) in [
            ("DEFAULT_REGION", "UK", "use GB"),
            ("DEFAULT_REGION", "uk", "use GB"),
            ("DEFAULT_REGION", "USA", "use US"),
            ("LOG", "inof", "error, warn, info, debug or trace"),
            ("LOG", "verbose", "error, warn, info, debug or trace"),
            ("LOG", "info,hyper", "hyper=debug"),
            ("LOG", "info,caller_popup=loud", "error, warn, info, debug or trace"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "http://127.0.0.1:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
            ("PUBLIC_URL", "https://calls.example.com/popup", "leave the path away"),
            ("PUBLIC_URL", "https://calls.example.com/?a=b", "leave the path away"),
            ("PUBLIC_URL", "https://me:hunter2@calls.example.com", "leave the name and password away"),
            ("JWT_PUBLIC_KEY", "no-such-file.pem", "cannot be read"),
        ] {
            let problems = read(&[(name, value)]).expect_err(value).to_string();
            assert!(problems.contains(name) && problems.contains(cure), "{value}: {problems}");
            assert!(!problems.contains("hunter2"), "{problems}");
        }
        for (name, value) in [
            ("DEFAULT_REGION", "gb"),
            ("LOG", "INFO"),
            ("LOG", "off"),
            ("LOG", "caller_popup"),
            ("LOG", "warn,caller_popup::app=debug,hyper=trace"),
            ("LOG", "info,[request]=debug"),
            ("PUBLIC_URL", "https://calls.example.com/"),
            ("PUBLIC_URL", "https://calls.example.com:8443"),
        ] {
            assert!(read(&[(name, value)]).is_ok(), "{name}={value}");
        }
    }

    #[test]
    fn a_key_file_is_found_among_the_credentials_of_the_service() {
        const PUBLIC: &str = include_str!("../tests/fixtures/host-rsa-public.pem");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("host.pem"), PUBLIC).unwrap();
        std::fs::write(folder.path().join("ca.pem"), "").unwrap();
        let credentials = ("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap());
        let config = read(&[
            credentials,
            ("JWT_PUBLIC_KEY", "host.pem"),
            ("MONGODB_URI", "mongodb://db.example.com/?tls=true&tlsCAFile=ca.pem&tlsCertificateKeyFile=other.pem"),
        ])
        .unwrap();
        assert!(matches!(config.access.jwt_key, Some(JwtKey::Rs256(_))));
        let uri = config.mongodb.unwrap().uri;
        assert!(uri.ends_with(&format!("tlsCAFile={}/ca.pem&tlsCertificateKeyFile=other.pem", credentials.1)), "{uri}");
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
    fn a_secret_that_can_be_guessed_stops_the_start() {
        for (name, weak) in [
            ("API_TOKENS", "x"),
            ("API_TOKENS", "aaaaaaaaaaaaaaaaaaaaaaaa"),
            ("API_TOKENS", "0123456789abcdef,aaaaaaaaaaaaaaaaaaaaaaaa"),
            ("API_TOKENS", "abababababababababababab"),
            ("API_TOKENS", "1231231231231231231231231"),
            ("API_TOKENS", "ääääääääääääääää"),
            ("JWT_SECRET", "00000000000000000000000000000000"),
            ("JWT_SECRET", "abcdabcdabcdabcdabcdabcdabcdabcd"),
            ("RINGCENTRAL_VERIFICATION_TOKEN", "x"),
            ("RINGCENTRAL_VERIFICATION_TOKEN", "12345"),
            ("RINGCENTRAL_VERIFICATION_TOKEN", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            ("RINGCENTRAL_VERIFICATION_TOKEN", "abababababababababababababababab"),
        ] {
            let problems = read(&[(name, weak)]).expect_err(weak).to_string();
            assert!(problems.contains(name) && problems.contains("guess"), "{problems}");
        }
        for (name, strong) in [
            ("API_TOKENS", "0123456789abcdef"),
            ("API_TOKENS", "correct horse battery staple"),
            ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
            ("RINGCENTRAL_VERIFICATION_TOKEN", "s3cret"),
            ("RINGCENTRAL_VERIFICATION_TOKEN", "9f2c4a7be0d14c0f8a35b1c2d3e4f506"),
        ] {
            assert!(read(&[(name, strong)]).is_ok(), "{strong}");
        }
    }

    #[test]
    fn trusting_everybody_as_a_proxy_is_noticed() {
        for (written, careless) in [("0.0.0.0/0", 1), ("::/0", 1), ("0.0.0.0/1,128.0.0.0/1", 2), ("10.0.0.0/8,::1", 0)]
        {
            let config = read(&[("TRUSTED_PROXIES", written)]).unwrap();
            assert_eq!(config.access.careless_proxies().count(), careless, "{written}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        let config = read(&[("TRUSTED_PROXIES", "127.0.0.1, 10.1.2.3/8,::1")]).unwrap();
        let written: Vec<_> = config.access.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]);
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

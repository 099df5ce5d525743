//! Everything of `static/` as it is sent: scripts joined, pages that name files by their hashed addresses, all compressed.
//!
//! Made once at the start, in some 40 ms; a debug build makes it again when a file changed.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use axum::body::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use tracing::error;

use super::bundle::bundle;
use crate::secret::hex;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// For tools that read the folder itself, such as node and bundlers; not served.
const NOT_SERVED: [&str; 1] = ["package.json"];
/// The scripts that pages load; each is joined with what it imports.
const ENTRIES: [&str; 5] = ["call-popup.js", "dashboard/main.js", "pages/api.js", "pages/customer.js", "pages/demo.js"];
/// The folder of hashed addresses. `lib/service.js` knows it too: the service's own address is outside.
pub const HASHED: &str = "static/";
/// What is this much smaller compressed is kept compressed as well; a packet is some 1,400 bytes.
const WORTH_IT: usize = 128;

/// The files by their paths.
pub struct Site {
    files: HashMap<String, Asset>,
    /// The name of this version of all files together, in hashed addresses.
    version: String,
}

/// A file in every form it is sent in.
pub struct Asset {
    /// The value of `Content-Type`.
    pub kind: String,
    /// Of the plain form, in hex, without quotes.
    pub hash: String,
    /// As it is.
    pub plain: Bytes,
    /// Compressed, where that is smaller. gzip and not brotli: browsers accept brotli over https alone, its library takes three
    /// times as long to build, and what it saves is an eighth.
    pub gzip: Option<Bytes>,
}

impl Site {
    /// From the files in the binary, which in a debug build are those on the disk.
    pub fn read() -> Self {
        let sources = Static::iter().filter(|path| !NOT_SERVED.contains(&path.rsplit('/').next().unwrap_or(path)));
        let sources = sources.filter_map(|path| Some((path.to_string(), Static::get(&path)?.data.into_owned())));
        Self::from_sources(sources.collect())
    }

    fn from_sources(sources: BTreeMap<String, Vec<u8>>) -> Self {
        let mut all = Sha256::new();
        for (path, content) in &sources {
            all.update((path.len() as u64).to_be_bytes());
            all.update(path);
            all.update((content.len() as u64).to_be_bytes());
            all.update(content);
        }
        let version = short(&all.finalize());
        let text = |path: &str| sources.get(path).map(|content| String::from_utf8_lossy(content).into_owned());
        let served = |path: &str, content: &[u8]| -> Vec<u8> {
            if ENTRIES.contains(&path) {
                match bundle(path, text) {
                    Ok(script) => return script.into_bytes(),
                    // The modules are served too, so the page works as it is written, in more round trips.
                    Err(cause) => {
                        error!(error = %cause, error.sources = crate::store::sources(&cause), "a script cannot be joined")
                    }
                }
            }
            if path.ends_with(".html") {
                let page = String::from_utf8_lossy(content);
                return with_hashed_addresses(&page, &version, |path| sources.contains_key(path)).into_bytes();
            }
            content.to_vec()
        };
        let files = sources.iter().map(|(path, content)| (path.clone(), Asset::new(path, served(path, content))));
        Self { files: files.collect(), version: version.clone() }
    }

    /// The file at a path of a request, without its first slash, and whether the address is one that never changes its
    /// content. A hashed address of another version has the file of this one: where several instances are being
    /// upgraded, one may have sent the page and another is asked for its script.
    pub fn find(&self, path: &str) -> Option<(&str, &Asset, bool)> {
        let hashed = path.strip_prefix(HASHED).and_then(|rest| rest.split_once('/'));
        let (version, path) = hashed.map_or((None, path), |(version, path)| (Some(version), path));
        let (path, asset) = self.files.get_key_value(path)?;
        Some((path, asset, version == Some(self.version.as_str())))
    }
}

impl Asset {
    fn new(path: &str, content: Vec<u8>) -> Self {
        let hash = short(&Sha256::digest(&content));
        let gzip = Some(compressed(&content)).filter(|gzip| gzip.len() + WORTH_IT < content.len());
        Self { kind: content_type(path), hash, plain: content.into(), gzip: gzip.map(Bytes::from) }
    }
}

/// A page that names its scripts, styles and icon by addresses that change with their content.
fn with_hashed_addresses(page: &str, version: &str, exists: impl Fn(&str) -> bool) -> String {
    let mut rewritten = String::with_capacity(page.len() + 256);
    let mut rest = page;
    while let Some(at) = [" href=\"", " src=\""].iter().filter_map(|name| Some(rest.find(name)? + name.len())).min() {
        let (before, after) = rest.split_at(at);
        let path = after.split('"').next().unwrap_or_default();
        rewritten.push_str(before);
        if exists(path) && !path.ends_with(".html") {
            rewritten.extend([HASHED, version, "/"]);
        }
        rest = after;
    }
    rewritten + rest
}

fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}

/// 64 bits tell versions of a file apart.
fn short(hash: &[u8]) -> String {
    hex(&hash[..8])
}

fn content_type(path: &str) -> String {
    // The registered type of `.ts` is a video.
    if path.ends_with(".d.ts") {
        return "text/plain; charset=utf-8".into();
    }
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    if kind.type_() == "text" { format!("{kind}; charset=utf-8") } else { kind.to_string() }
}

/// When the newest file changed and how many there are.
#[cfg(debug_assertions)]
pub fn stamp() -> (Option<std::time::SystemTime>, usize) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    let changed = |path: &str| std::fs::metadata(folder.join(path)).and_then(|file| file.modified()).ok();
    let paths: Vec<_> = Static::iter().collect();
    (paths.iter().filter_map(|path| changed(path)).max(), paths.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_of_a_page_can_be_joined() {
        let read = |path: &str| Some(String::from_utf8(Static::get(path)?.data.into_owned()).unwrap());
        for entry in ENTRIES {
            bundle(entry, read).unwrap_or_else(|problem| panic!("{problem}"));
        }
    }

    #[test]
    fn a_page_names_files_by_hashed_addresses_and_nothing_else() {
        let page = r#"<link href="a.css"><script src="b/c.js"></script><a href="./"></a><a href="d.html"></a>"#;
        let page = with_hashed_addresses(page, "0f", |path| ["a.css", "b/c.js", "d.html"].contains(&path));
        assert_eq!(
            page,
            r#"<link href="static/0f/a.css"><script src="static/0f/b/c.js"></script><a href="./"></a><a href="d.html"></a>"#
        );
    }

    #[test]
    fn any_change_changes_the_hashed_addresses() {
        let site = |text: &str| Site::from_sources([("a.css".to_owned(), text.into())].into());
        let (before, after) = (site("b {}"), site("i {}"));
        assert_ne!(before.version, after.version);
        let hashed = format!("{HASHED}{}/a.css", before.version);
        assert!(matches!(before.find(&hashed), Some(("a.css", _, true))));
        assert!(matches!(after.find(&hashed), Some(("a.css", _, false))), "found, and not for ever");
        assert!(matches!(after.find("a.css"), Some(("a.css", _, false))));
        assert!(after.find(HASHED).is_none() && after.find("static/0f/b.css").is_none());
    }
}

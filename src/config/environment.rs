//! Where settings come from: the environment and `.env`. Errors name the line and the variable; they never hold a value.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use strsim::osa_distance;

use super::Problems;

/// A setting with a shorter name has too many neighbors: `LOG` and `LOGS`.
const SHORTEST_NAME: usize = 6;

/// Puts the settings of `.env`, of this folder or the nearest above it that has one, into the environment. What is there already
/// stays.
pub(super) fn load_dotenv() -> Result<(), Problems> {
    let folder = std::env::current_dir().unwrap_or_default();
    match folder.ancestors().map(|folder| folder.join(".env")).find(|file| file.is_file()) {
        Some(file) => load_file(&file).map_err(|problem| Problems(vec![problem])),
        None => Ok(()),
    }
}

fn load_file(file: &Path) -> Result<(), String> {
    let name = file.display();
    let text = fs::read(file).map_err(|cause| format!("{name} cannot be read ({cause}): let this user read it."))?;
    let mut lines = Lines { text: &text, number: 0 };
    match dotenvy::from_read_iter(&mut lines).load() {
        Ok(()) => Ok(()),
        Err(dotenvy::Error::LineParse(parsed, _)) => {
            // What was parsed may be several lines: a quote that is never closed takes the rest of the file.
            let first = lines.number.saturating_sub(parsed.trim_end_matches('\n').matches('\n').count()).max(1);
            let variable = variable(&text, first).map_or_else(String::new, |name| format!(" ({name})"));
            Err(format!(
                "{name}, line {first}{variable} cannot be parsed: write NAME=value, and put a value with blanks, quotes, # or \
                 $ in 'single quotes', which must be closed."
            ))
        }
        Err(_) => Err(format!("{name}, line {} is not UTF-8: save the file as UTF-8.", lines.number)),
    }
}

/// The variable that a line sets. A line may also be the rest of a secret, so only a name that looks like one is returned.
fn variable(text: &[u8], line: usize) -> Option<String> {
    let line = text.split(|byte| *byte == b'\n').nth(line - 1)?;
    let (name, _) = std::str::from_utf8(line).ok()?.split_once('=')?;
    let name = name.trim();
    let name = name.strip_prefix("export ").unwrap_or(name).trim();
    let has_form = name.contains('_') && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    (has_form || name == "BIND" || name == "LOG").then(|| name.to_owned())
}

/// One line for each read, so that the number of the line that cannot be parsed is known.
struct Lines<'a> {
    text: &'a [u8],
    number: usize,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.text.iter().position(|byte| *byte == b'\n').map_or(self.text.len(), |at| at + 1);
        let most = end.min(buffer.len());
        self.number += usize::from(most > 0 && (most == end));
        let read = Read::read(&mut self.text.take(most as u64), buffer)?;
        self.text.consume(read);
        Ok(read)
    }
}

/// Every variable of the environment, and the names of those whose value is not Unicode.
pub(super) fn variables() -> (Vec<(String, String)>, Vec<String>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (name, value) in std::env::vars_os() {
        match (name.into_string(), OsString::into_string(value)) {
            (Ok(name), Ok(value)) => good.push((name, value)),
            (Ok(name), Err(_)) => bad.push(name),
            (Err(_), _) => {}
        }
    }
    (good, bad)
}

/// The setting that was meant by a name that is none: one letter is missing, added, different or swapped.
pub(super) fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().find(|known| known.len() >= SHORTEST_NAME && osa_distance(name, known) == 1)
}

/// A file that a setting names: a relative name is looked for among the credentials of the service (`LoadCredential=` of systemd),
/// which its user can read where it cannot read the file's own folder.
pub(super) fn file(name: &str, credentials: Option<&str>) -> PathBuf {
    let given = PathBuf::from(name);
    match credentials.map(|folder| Path::new(folder).join(&given)) {
        Some(credential) if given.is_relative() && credential.is_file() => credential,
        _ => given,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(content: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        fs::write(&file, content).unwrap();
        load_file(&file).expect_err("the file is wrong")
    }

    #[test]
    fn a_line_that_cannot_be_parsed_is_named_without_its_value() {
        for (content, line, variable) in [
            ("# a comment\n\nJWT_AUDIENCE_X='of a quote\nhunter2=\n# end\n", "line 3", "JWT_AUDIENCE_X"),
            ("NO_SUCH_A=1\nNO_SUCH_TOKENS=hunter2 hunter3\n", "line 2", "NO_SUCH_TOKENS"),
            ("export NO_SUCH_B=\"hunter2\n", "line 1", "NO_SUCH_B"),
            ("NO_SUCH_C=\"two\nlines\"\nNO_SUCH_D=a\"hunter2\n", "line 3", "NO_SUCH_D"),
            ("BIND=hunter2 hunter3", "line 1", "BIND"),
            ("hunter2\n", "line 1", ""),
            ("\nhunter2== x y\n", "line 2", ""),
        ] {
            let problem = problem(content.as_bytes());
            assert!(problem.contains(&format!("{line} ")) && problem.contains(variable), "{content:?}: {problem}");
            assert!(!problem.contains("hunter"), "{problem}");
        }
        let problem = problem(b"NO_SUCH_E=1\nNO_SUCH_F=\xff\n");
        assert!(problem.contains("line 2 is not UTF-8"), "{problem}");
    }

    #[test]
    fn a_name_one_letter_away_is_a_typing_error() {
        let known = ["API_TOKENS", "JWT_SECRET", "LOG", "BIND"];
        for name in ["API_TOKEN", "API_TOKENSS", "API_TOKESN", "APY_TOKENS"] {
            assert_eq!(meant(name, known), Some("API_TOKENS"), "{name}");
        }
        for name in ["LOGS", "API_TOKENS", "TOKENS", "BINDS", "HOME"] {
            assert_eq!(meant(name, known), None, "{name}");
        }
    }
}

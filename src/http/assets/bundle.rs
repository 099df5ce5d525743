//! Joins an ES module and everything it imports into one script.
//!
//! A browser asks for what a module imports only once it has the module, and over HTTP/1.1 for six files at a time: the
//! thirty modules of the widget took six round trips. In one file they take one. Each module becomes a function that
//! returns its exports, in the order in which a browser would evaluate them, so that names need not be unique; the entry
//! itself comes last and stays as it is, so that it may export, and wait.
//!
//! Reads only the forms that `static/` is written in, one statement a line; `tests/widget/modules.test.js` holds them to it.

use std::collections::HashMap;
use std::fmt::Write;

/// A module that cannot be joined; the text says which and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Unbundled {
    path: String,
    problem: String,
}

/// The script of `entry`, with the exports of `entry`. `read` answers the source at a path in `static/`.
pub fn bundle(entry: &str, read: impl Fn(&str) -> Option<String>) -> Result<String, Unbundled> {
    let mut bundle = Bundle { read, entry, names: HashMap::new(), text: String::new() };
    bundle.add(entry)?;
    Ok(bundle.text)
}

struct Bundle<'a, Read> {
    read: Read,
    entry: &'a str,
    /// By path; `None` while what a module imports is being added.
    names: HashMap<String, Option<Module>>,
    text: String,
}

#[derive(Clone)]
struct Module {
    /// The constant that holds its exports.
    name: String,
    exports: Vec<String>,
}

impl<Read: Fn(&str) -> Option<String>> Bundle<'_, Read> {
    fn add(&mut self, path: &str) -> Result<Module, Unbundled> {
        let wrong = |problem: &str| Unbundled { path: path.into(), problem: problem.into() };
        match self.names.get(path) {
            Some(Some(module)) => return Ok(module.clone()),
            Some(None) => return Err(wrong("imports itself by way of another module")),
            None => {}
        }
        let source = (self.read)(path).ok_or_else(|| wrong("is imported and does not exist"))?;
        self.names.insert(path.into(), None);
        let is_entry = path == self.entry;
        let (mut head, mut body, mut exports, mut fields) = (String::new(), String::new(), Vec::new(), Vec::new());
        for line in without_comments(&source) {
            if let Some((what, from)) = import(line, "import ") {
                let module = self.add(&resolve(path, from))?;
                if let Some(names) = what {
                    let _ = writeln!(head, "const {names} = {};", module.name);
                }
            } else if let Some((what, from)) = import(line, "export ") {
                if what != Some("*") {
                    return Err(wrong("exports names of another module, which only `*` may do here"));
                }
                let module = self.add(&resolve(path, from))?;
                if is_entry {
                    let _ = writeln!(head, "export const {{ {} }} = {};", module.exports.join(", "), module.name);
                }
                fields.push(format!("...{}", module.name));
                exports.extend(module.exports);
            } else {
                let declaration = line.strip_prefix("export ");
                if let Some(declaration) = declaration {
                    let name = declared(declaration).ok_or_else(|| wrong("has an export that is no declaration"))?;
                    fields.push(name.to_owned());
                    exports.push(name.to_owned());
                }
                let line = declaration.filter(|_| !is_entry).unwrap_or(line);
                let _ = writeln!(body, "{}", line.replace("import.meta.url", &self.address_of(path)));
            }
        }
        let name = format!("${}", path.trim_end_matches(".js").replace(['/', '-', '.'], "_"));
        let returns = fields.join(", ");
        let _ = match is_entry {
            true => write!(self.text, "// {path}\n{head}{body}"),
            false => {
                writeln!(self.text, "// {path}\nconst {name} = (() => {{\n{head}{body}return {{ {returns} }};\n}})();")
            }
        };
        let module = Module { name, exports };
        self.names.insert(path.into(), Some(module.clone()));
        Ok(module)
    }

    /// Where the module would be if it were a file beside the entry's.
    fn address_of(&self, path: &str) -> String {
        let up = "../".repeat(self.entry.matches('/').count());
        format!("new URL(\"./{up}{path}\", import.meta.url).href")
    }
}

/// The lines of a module that are no comment and not empty. A comment behind code stays, because telling it from the
/// middle of a text takes a parser.
fn without_comments(source: &str) -> impl Iterator<Item = &str> {
    let mut in_comment = false;
    source.lines().filter(move |line| {
        let text = line.trim();
        let begins = !in_comment && text.starts_with("/*");
        let code = !in_comment && !begins && !text.is_empty() && !text.starts_with("//");
        in_comment = (in_comment || begins) && !text.ends_with("*/");
        code
    })
}

/// `import { a, b } from "./c.js";` → `{ a, b }` and `./c.js`; `import "./c.js";` → only the latter.
fn import<'a>(line: &'a str, keyword: &str) -> Option<(Option<&'a str>, &'a str)> {
    let rest = line.strip_prefix(keyword)?.strip_suffix("\";")?;
    let (what, from) = rest.split_once('"')?;
    match what.trim_end() {
        "" => Some((None, from)),
        what => Some((Some(what.strip_suffix(" from")?), from)),
    }
}

/// The name that a declaration makes.
fn declared(declaration: &str) -> Option<&str> {
    let declaration = declaration.strip_prefix("async ").unwrap_or(declaration);
    let rest = ["function ", "class ", "const ", "let "].iter().find_map(|word| declaration.strip_prefix(word))?;
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '$')?;
    (end > 0).then(|| &rest[..end])
}

/// A path in `static/` as a module in `importer` names it.
fn resolve(importer: &str, specifier: &str) -> String {
    let mut parts: Vec<&str> = importer.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(files: &[(&str, &str)]) -> Result<String, Unbundled> {
        let read = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
        bundle(files[0].0, read)
    }

    #[test]
    fn each_module_comes_once_and_before_those_that_import_it() {
        let joined = join(&[
            ("a.js", "import { two } from \"./lib/b.js\";\nimport \"./lib/c.js\";\nexport const sum = two + 1;\n"),
            ("lib/b.js", "/** Two. */\nimport { one } from \"./c.js\";\n\nexport const two = one + one; // still 2\n"),
            ("lib/c.js", "// One.\nexport const one = 1;\nconst here = import.meta.url;\n"),
        ]);
        let expected = "\
// lib/c.js
const $lib_c = (() => {
const one = 1;
const here = new URL(\"./lib/c.js\", import.meta.url).href;
return { one };
})();
// lib/b.js
const $lib_b = (() => {
const { one } = $lib_c;
const two = one + one; // still 2
return { two };
})();
// a.js
const { two } = $lib_b;
export const sum = two + 1;
";
        assert_eq!(joined.as_deref(), Ok(expected));
    }

    #[test]
    fn an_entry_in_a_folder_finds_its_modules_addresses_and_re_exports() {
        let joined = join(&[
            ("widget/entry.js", "export * from \"../lib/c.js\";\n"),
            ("lib/c.js", "export async function here() {\n  return import.meta.url;\n}\n"),
        ])
        .unwrap();
        assert!(joined.contains("new URL(\"./../lib/c.js\", import.meta.url).href"), "{joined}");
        assert!(joined.ends_with("// widget/entry.js\nexport const { here } = $lib_c;\n"), "{joined}");
    }

    #[test]
    fn what_cannot_be_joined_is_named() {
        let problem = |files: &[(&str, &str)]| join(files).unwrap_err().to_string();
        assert_eq!(problem(&[("a.js", "import \"./b.js\";\n")]), "b.js: is imported and does not exist");
        let cycle = [("a.js", "import \"./b.js\";\n"), ("b.js", "import \"./a.js\";\n")];
        assert_eq!(problem(&cycle), "a.js: imports itself by way of another module");
        assert_eq!(problem(&[("a.js", "export { x };\n")]), "a.js: has an export that is no declaration");
        let some = [("a.js", "export { x } from \"./b.js\";\n"), ("b.js", "export const x = 1;\n")];
        assert_eq!(problem(&some), "a.js: exports names of another module, which only `*` may do here");
    }
}

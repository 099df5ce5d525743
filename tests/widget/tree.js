/** The files of static/ as the tests of its structure see them. Paths are relative to static/. */
import { readFileSync, readdirSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../static/", import.meta.url));

export const files = readdirSync(ROOT, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => posix.relative(ROOT, posix.join(entry.parentPath ?? entry.path, entry.name)))
  .sort();
export const modules = files.filter((path) => path.endsWith(".js"));
export const pages = files.filter((path) => path.endsWith(".html"));

export const read = (path) => readFileSync(ROOT + path, "utf8");
export const withoutComments = (source) => source.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");

/** The imports of a module: `{path, names}`, where `names` is null for `export *` and empty for an import for effect. */
export function importsOf(path) {
  const source = withoutComments(read(path));
  const statements = source.matchAll(/^(?:import|export) (?:(?:\{([^}]*)\}|(\*)) from )?"([^"]+)";$/gm);
  return [...statements].map(([, names, all, specifier]) => ({
    path: specifier.startsWith(".") ? posix.join(posix.dirname(path), specifier) : specifier,
    names: all ? null : (names ?? "").split(",").map((name) => name.trim()).filter(Boolean),
  }));
}

export const exportsOf = (path) =>
  [...withoutComments(read(path)).matchAll(/^export (?:async )?(?:function|class|const|let) (\w+)/gm)].map(([, name]) => name);

/** The modules that a module needs, without itself. */
export function graphOf(entry, found = new Set()) {
  for (const { path } of importsOf(entry)) {
    if (found.has(path)) continue;
    found.add(path);
    graphOf(path, found);
  }
  return [...found].filter((path) => path !== entry).sort();
}

/** What a page loads: the values of an attribute of a kind of tag. */
export const linksOf = (page, tag, attribute) =>
  [...read(page).matchAll(new RegExp(`<${tag}[^>]* ${attribute}="([^"]+)"`, "g"))].map(([, value]) => value);

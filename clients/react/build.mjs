// Makes dist/ of src/: the modules without their comments, and the types with them; those of the element are the service's own.
// npm runs it before it packs the package, and before it installs it from this folder.
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";

const here = (path) => new URL(path, import.meta.url);
/** Here every comment has lines of its own. */
const COMMENT = /^[ \t]*(?:\/\*\*[^]*?\*\/|\/\/.*)\n/gm;
const withoutComments = (path) => readFileSync(here(path), "utf8").replace(COMMENT, "");

rmSync(here("dist"), { recursive: true, force: true });
mkdirSync(here("dist"));
for (const name of readdirSync(here("src"))) {
  if (name.endsWith(".d.ts")) copyFileSync(here(`src/${name}`), here(`dist/${name}`));
  else writeFileSync(here(`dist/${name}`), withoutComments(`src/${name}`));
}
writeFileSync(here("dist/element.d.ts"), withoutComments("../../static/call-popup.d.ts"));
copyFileSync(here("../../LICENSE"), here("LICENSE"));

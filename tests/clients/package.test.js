/** The package of clients/react as npm would publish it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "./support.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SOURCE = here("../../clients/react");
const LARGEST = 6 * 1024;
/** Where the package was installed from its folder. */
const INSTALLED = ["../../examples/nextjs", "next15", "pages-router"].map((folder) => here(`${folder}/node_modules/@caller-popup/react`));

const folder = mkdtempSync(join(tmpdir(), "package-"));
const unpacked = join(folder, "package");
let packed;

before(() => {
  [packed] = JSON.parse(execFileSync("npm", ["pack", "--json", "--loglevel=error", `--pack-destination=${folder}`], { cwd: SOURCE, encoding: "utf8" }));
  execFileSync("tar", ["--extract", "--directory", folder, "--file", join(folder, packed.filename)]);
});
after(() => rmSync(folder, { recursive: true }));

test("it has the files it should have, in less than 6 KiB", () => {
  const dist = ["call-popup.js", "element.d.ts", "index.d.ts", "index.js", "jsx.d.ts", "load.js", "use-calls.js"].map((name) => `dist/${name}`);
  assert.deepEqual(packed.files.map(({ path }) => path).sort(), ["LICENSE", "README.md", ...dist, "package.json"]);
  assert.ok(packed.size <= LARGEST, `${packed.size} bytes`);
  console.log(`# packed: ${packed.size} bytes`);
});

test("it depends on nothing, and npm installs it without scripts of its own", () => {
  const manifest = JSON.parse(readFileSync(join(unpacked, "package.json"), "utf8"));
  assert.deepEqual(manifest.dependencies ?? {}, {});
  for (const name of ["preinstall", "install", "postinstall"]) assert.equal(manifest.scripts[name], undefined);
});

test("every module begins with \"use client\"", () => {
  const modules = readdirSync(join(unpacked, "dist")).filter((name) => name.endsWith(".js"));
  for (const name of modules) assert.equal(readFileSync(join(unpacked, "dist", name), "utf8").split("\n")[0], '"use client";', name);
});

test("the component is shorter than 150 lines", () => {
  assert.ok(readFileSync(join(SOURCE, "src/call-popup.js"), "utf8").split("\n").length < 150);
});

test("the build takes away comments alone", async () => {
  const names = readdirSync(join(SOURCE, "src")).filter((name) => name.endsWith(".js"));
  const ts = (await import("typescript")).default;
  const printed = (path) => ts.transpile(readFileSync(path, "utf8"), { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext, removeComments: true });
  for (const name of names) assert.equal(printed(join(unpacked, "dist", name)), printed(join(SOURCE, "src", name)), name);
});

test("importing it where there is no DOM defines nothing and throws nothing", async () => {
  // React is found from the folder of the tests.
  const copy = here("node_modules/.packed");
  rmSync(copy, { recursive: true, force: true });
  cpSync(unpacked, copy, { recursive: true });
  const script = `const before = Reflect.ownKeys(globalThis); const module = await import(${JSON.stringify(join(copy, "dist/index.js"))});
    console.log(JSON.stringify([Object.keys(module), Reflect.ownKeys(globalThis).filter((key) => !before.includes(key))]))`;
  assert.deepEqual(JSON.parse(await run(process.execPath, ["--input-type=module", "--eval", script])), [["CallPopup", "useCalls"], []]);
});

test("publint has nothing to say", async () => {
  const { publint } = await import("publint");
  const { formatMessage } = await import("publint/utils");
  const { messages, pkg } = await publint({ pkgDir: unpacked, level: "suggestion", strict: true });
  assert.deepEqual(messages.map((message) => formatMessage(message, pkg, { color: false })), []);
});

test("arethetypeswrong has nothing to say of a package of modules", async () => {
  const program = here("node_modules/@arethetypeswrong/cli/dist/index.js");
  // The entry point of types alone has no module.
  await run(process.execPath, [program, join(folder, packed.filename), "--profile", "esm-only", "--exclude-entrypoints", "jsx", "package.json", "--no-emoji", "--no-color"]);
});

for (const [name, types] of [["React 18.3", "types-react-18"], ["React 19", "@types/react"]]) {
  test(`tsc accepts the page of a host with the types of ${name}, and refuses wrong props`, async () => {
    const project = join(folder, name.replace(" ", "-"));
    const place = (from, to) => (mkdirSync(dirname(join(project, to)), { recursive: true }), symlinkSync(from, join(project, to)));
    mkdirSync(project);
    place(here(`node_modules/${types}`), "node_modules/@types/react");
    place(here("node_modules/csstype"), "node_modules/csstype");
    if (existsSync(here("node_modules/@types/prop-types"))) place(here("node_modules/@types/prop-types"), "node_modules/@types/prop-types");
    cpSync(unpacked, join(project, "node_modules/@caller-popup/react"), { recursive: true });
    cpSync(here("react/host.tsx"), join(project, "host.tsx"));
    const compilerOptions = { strict: true, noEmit: true, jsx: "react-jsx", module: "esnext", moduleResolution: "bundler", target: "es2022", lib: ["es2022", "dom"], types: [], preserveSymlinks: true };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["host.tsx"] }));
    await run(process.execPath, [here("node_modules/typescript/bin/tsc"), "--project", project]);
  });
}

test("what npm installs from the folder is what it packs", () => {
  for (const place of INSTALLED) {
    for (const { path } of packed.files) assert.equal(readFileSync(join(place, path), "utf8"), readFileSync(join(unpacked, path), "utf8"), `${path} in ${place}`);
  }
});

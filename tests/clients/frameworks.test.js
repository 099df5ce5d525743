/** What the README says for other frameworks, word for word but for the address of the service. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import vue from "@vitejs/plugin-vue";
import { build } from "vite";
import { CARDS, REPOSITORY, SECRET, Service, Stage, Tab, eventually, freePort, openBrowser, serve, start, tokenOf } from "./support.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SARAH = "68e8929ff0f6291c7d863496";
const readme = readFileSync(join(REPOSITORY, "README.md"), "utf8");

/** The one block of this language behind the heading. */
function snippet(language) {
  const [, block] = readme.slice(readme.indexOf("### Vue, Svelte, Angular, PHP")).match(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``));
  return block.replaceAll("https://popup.example.com", service.url);
}

const stage = new Stage();
let service;
let browser;
let site;
let phpPort;
/** The script of the framework under test. */
let script;
let tab;

before(async () => {
  phpPort = await freePort();
  site = await serve(stage, (request, response) => {
    if (request.url === "/main.js") return response.setHeader("Content-Type", "text/javascript").end(script);
    if (request.url === "/my/call-token") return response.end(tokenOf());
    response.setHeader("Content-Type", "text/html").end(`<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/main.js"></script>
      <script type="module" src="${service.url}/call-popup.js"></script>`);
  });
  // The person of the PHP example is an agent.
  service = await Service.start(stage, [site, `http://127.0.0.1:${phpPort}`]);
  await service.importCustomers();
  browser = await openBrowser(stage);
});
after(() => stage.close());
afterEach(async () => {
  await tab?.page.close();
  tab = null;
  for (const session of await service.activeSessions()) await service.hangUp(session);
  await eventually("no stream", async () => (await service.viewers()) === 0);
});

const isVue = { template: { compilerOptions: { isCustomElement: (tag) => tag === "call-popup" } } };
const FRAMEWORKS = [
  { name: "Vue", language: "vue", file: "CallPopup.vue", main: "vue.js", plugins: () => [vue(isVue)], router: "vue-router" },
  { name: "Svelte", language: "svelte", file: "CallPopup.svelte", main: "svelte.js", plugins: () => [svelte({ configFile: false, compilerOptions: { dev: true } })], router: "$app/navigation" },
  { name: "Angular", language: "ts", file: "CallPopup.ts", main: "angular.ts", plugins: () => [], router: "@angular/router" },
];

for (const { name, language, file, main, plugins, router } of FRAMEWORKS) {
  test(`${name} gives the token with the first request, and views customers by its router`, async () => {
    // Beside node_modules, where the framework is.
    const root = mkdtempSync(here("frameworks-"));
    stage.after(() => rmSync(root, { recursive: true }));
    cpSync(here("frameworks"), root, { recursive: true });
    writeFileSync(join(root, file), snippet(language));
    const tsconfigRaw = { compilerOptions: { experimentalDecorators: true, useDefineForClassFields: false } };
    const output = await build({
      root, configFile: false, logLevel: "error", mode: "development", plugins: plugins(), resolve: { alias: { [router]: join(root, "router.js") } }, esbuild: { tsconfigRaw },
      build: { write: false, minify: false, rollupOptions: { input: join(root, main) } },
    });
    script = output.output[0].code;

    tab = await Tab.open(browser, service, site);
    await tab.untilLive();
    await service.ring(`of-${name}`);
    await tab.untilCards(1);
    await tab.until(`(${CARDS})[0].querySelector("[part~=view]")`);
    await tab.page.evaluate(`window.isTheSame = true; (${CARDS})[0].querySelector("[part~=view]").click()`);
    assert.deepEqual(await tab.page.evaluate("[window.went, window.isTheSame]"), [[`/customers/${SARAH}`], true]);
    await tab.page.evaluate("window.show(false)");
    await eventually("no stream", async () => (await service.viewers()) === 0);
    await tab.page.evaluate("window.show(true)");
    await tab.untilLive();
    await tab.untilCards(1);
    assert.equal(tab.streams, 2);
    assert.deepEqual(tab.requests.filter((request) => !request.proven), []);
    assert.deepEqual(tab.complaints, []);
  });
}

test("pages of PHP show the card on every page while a person is signed in", async () => {
  const folder = mkdtempSync(join(tmpdir(), "php-"));
  stage.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "snippet.php"), snippet("php"));
  const php = `http://127.0.0.1:${phpPort}`;
  const env = { JWT_SECRET: SECRET, SESSIONS: folder, SNIPPET: join(folder, "snippet.php") };
  await start(stage, php, "php", ["-S", `127.0.0.1:${phpPort}`, here("frameworks/router.php")], { env });
  tab = await Tab.open(browser, service, `${php}/first`);
  assert.equal(await tab.page.$("call-popup"), null, "nobody is signed in yet");
  await tab.page.goto(`${php}/sign-in`);
  await tab.untilLive();
  await service.ringExtension("of-php", "101");
  await tab.untilCards(1);
  await tab.page.goto(`${php}/second`);
  await tab.untilLive();
  await tab.untilCards(1);
  assert.equal(await tab.page.evaluate(`(${CARDS})[0].querySelector("[part~=view]").href`), `${php}/customer.php?id=${SARAH}`);
  assert.deepEqual(tab.requests.filter((request) => !request.proven), []);
  assert.deepEqual(tab.complaints, []);
  await tab.page.goto(`${php}/sign-out`);
  assert.equal(await tab.page.$("call-popup"), null);
});

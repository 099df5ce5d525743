/** The components in React 18.3 and 19, in its development build and under StrictMode, which runs every effect twice. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { Service, Stage, Tab, eventually, freePort, openBrowser, packageFolder, serve, tokenOf } from "./support.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
/** What Chromium itself says of a request that failed. */
const OF_THE_BROWSER = /^Failed to load resource/;

/** Bundles the test's page with a version of React; the client's script, and the server's `render`. */
async function bundle(folder, react) {
  const alias = { "@caller-popup/react": packageFolder(), react: here(`node_modules/react${react}`), "react-dom": here(`node_modules/react-dom${react}`) };
  const common = {
    root: here("react"), configFile: false, logLevel: "error", mode: "development", resolve: { alias }, esbuild: { jsx: "automatic", jsxDev: false },
    define: { "process.env.NODE_ENV": '"development"' },
  };
  const options = { emptyOutDir: false, outDir: folder, minify: false };
  await build({ ...common, build: { ...options, rollupOptions: { input: here("react/client.jsx"), output: { entryFileNames: "client.js" } } } });
  await build({ ...common, ssr: { noExternal: true }, build: { ...options, ssr: here("react/server.jsx"), rollupOptions: { output: { entryFileNames: "server.mjs" } } } });
  return { script: readFileSync(join(folder, "client.js")), ...(await import(join(folder, "server.mjs"))) };
}

/** Listeners on what outlives the element. */
async function listeners(tab) {
  const devtools = await tab.page.createCDPSession();
  const counts = {};
  for (const object of ["window", "document"]) {
    const { result } = await devtools.send("Runtime.evaluate", { expression: object });
    const answer = await devtools.send("DOMDebugger.getEventListeners", { objectId: result.objectId });
    for (const { type } of answer.listeners) counts[`${object} ${type}`] = (counts[`${object} ${type}`] ?? 0) + 1;
  }
  await devtools.detach();
  return counts;
}

for (const [name, react] of [["React 18.3", "-18"], ["React 19", ""]]) {
  describe(name, () => {
    const folder = mkdtempSync(join(tmpdir(), "react-"));
    const stage = new Stage();
    after(() => stage.close());
    stage.after(() => rmSync(folder, { recursive: true }));
    let site;
    let service;
    let browser;
    let page;
    const contexts = [];

    /** The page with these props, from the server or empty. */
    const open = async ({ fromServer = true, start = {}, src = service.url, at = service, prepare = async () => {} } = {}) => {
      const context = await browser.createBrowserContext();
      contexts.push(context);
      page = { src, start, fromServer };
      const tab = await Tab.open(context, at, null);
      await prepare(tab);
      await tab.page.goto(site);
      await tab.until("window.change");
      return tab;
    };
    const change = (tab, changes) => tab.page.evaluate((all) => window.change(all), changes);
    const events = (tab, name) => tab.page.evaluate((one) => window.events.filter(([event]) => event === one), name);
    const own = (tab) => tab.page.$$eval(".own", (all) => all.map((one) => [one.dataset.state, one.textContent]));

    before(async () => {
      const { script, render } = await bundle(folder, react);
      site = await serve(stage, (request, response) => {
        const { pathname, search } = new URL(request.url, "http://host");
        if (pathname === "/client.js") return response.setHeader("Content-Type", "text/javascript").end(script);
        if (pathname === "/token") return response.end(tokenOf(search.slice(1)));
        const { fromServer, ...props } = page;
        response.setHeader("Content-Type", "text/html").end(`<!doctype html><link rel="icon" href="data:,"><div id="root">${fromServer ? render(props) : ""}</div>
          <script type="application/json" id="props">${JSON.stringify(props)}</script><script type="module" src="/client.js"></script>`);
      });
      service = await Service.start(stage, [site]);
      await service.importCustomers();
      browser = await openBrowser(stage);
    });

    afterEach(async () => {
      for (const context of contexts.splice(0)) await context.close();
      for (const session of await service.activeSessions()) await service.hangUp(session);
      await eventually("no stream", async () => (await service.viewers()) === 0);
    });

    for (const fromServer of [true, false]) {
      test(`a page ${fromServer ? "of the server" : "made in the browser"} gives its token with the first request, and opens one stream`, async () => {
        const tab = await open({ fromServer });
        await tab.untilLive();
        const session = `first-${react}-${fromServer}`;
        await service.ring(session);
        await tab.untilCards(1);
        await tab.page.evaluate("document.querySelector('call-popup').shadowRoot.querySelector('[part~=view]').click()");
        await tab.page.evaluate("document.querySelector('call-popup').shadowRoot.querySelector('[part~=dismiss]').click()");
        await tab.untilCards(0);
        assert.deepEqual(await events(tab, "view"), [["view", 0, session]], "one listener, and the link is not followed");
        assert.deepEqual(await events(tab, "dismiss"), [["dismiss", 0, session]]);
        const states = (await events(tab, "status")).map(([, , state]) => state);
        assert.ok(states.includes("live") && !states.includes("denied"), `it was never refused: ${states}`);
        assert.deepEqual(tab.requests.filter((request) => !request.proven), []);
        assert.equal(tab.streams, 1);
        assert.equal(await tab.page.$$eval("script[src*='call-popup.js']", (all) => all.length), 0);
        assert.deepEqual(tab.complaints, []);
      });
    }

    test("what renders again has the newest handlers, and another token function keeps the stream", async () => {
      const tab = await open();
      await tab.untilLive();
      const tokens = await tab.page.evaluate("window.tokens");
      for (let at = 1; at <= 5; at++) {
        await tab.page.evaluate("window.renderAgain()");
        await tab.until(`window.renders === ${at}`);
      }
      await service.ring(`again-${react}`);
      await tab.untilCards(1);
      await tab.page.evaluate("document.querySelector('call-popup').shadowRoot.querySelector('[part~=dismiss]').click()");
      assert.deepEqual(await events(tab, "dismiss"), [["dismiss", 5, `again-${react}`]]);
      assert.equal(tab.streams, 1);
      assert.equal(await tab.page.evaluate("window.tokens"), tokens);
    });

    test("events of a later service have their handlers", async () => {
      const tab = await open();
      await tab.untilLive();
      await tab.page.evaluate("window.renderAgain()");
      await tab.until("window.renders === 1");
      const goesOn = await tab.page.evaluate(() => {
        const send = (type, detail) => document.querySelector("call-popup").dispatchEvent(new CustomEvent(`call-popup:${type}`, { detail, cancelable: true }));
        return [send("create", { call: { session_id: "later" } }), send("dial", { number: "+14165551234" })];
      });
      assert.deepEqual(goesOn, [false, true], "a handler can prevent what the element would do");
      assert.deepEqual(await events(tab, "create"), [["create", 1, "later"]]);
      assert.deepEqual(await events(tab, "dial"), [["dial", 1, "+14165551234"]]);
      assert.deepEqual(tab.complaints, []);
    });

    test("another key is another person", async () => {
      const tab = await open();
      await tab.untilLive();
      await service.ring(`person-${react}`);
      await tab.untilCards(1);
      await change(tab, { person: "kim" });
      await eventually("the second stream", () => tab.streams === 2);
      await tab.untilLive();
      await tab.untilCards(1);
      await eventually("one stream", async () => (await service.viewers()) === 1);
      assert.deepEqual(tab.requests.filter((request) => !request.proven), []);
      assert.deepEqual(tab.complaints, []);
    });

    test("unmounting ends the stream and every listener, and mounting again starts with the token", async () => {
      const tab = await open({ start: { popup: false } });
      const before = await listeners(tab);
      const mounted = [];
      for (let at = 0; at < 3; at++) {
        await change(tab, { popup: true });
        await tab.untilLive();
        mounted.push(await listeners(tab));
        await change(tab, { popup: false });
        await tab.until("!document.querySelector('call-popup')");
        await eventually("no stream", async () => (await service.viewers()) === 0);
        assert.deepEqual(await listeners(tab), before);
      }
      assert.notDeepEqual(mounted[0], before, "the element listens while it is there");
      assert.deepEqual(mounted[2], mounted[0]);
      assert.equal(tab.streams, 3);
      assert.deepEqual(tab.requests.filter((request) => !request.proven), []);
      assert.deepEqual(tab.complaints, []);
    });

    test("useCalls has the calls of the popup's stream in every component", async () => {
      const tab = await open({ start: { calls: 2 } });
      await tab.untilLive();
      await eventually("both are live", async () => (await own(tab)).every(([state]) => state === "live"));
      await service.ring(`own-${react}`);
      await tab.untilCards(1);
      await eventually("both list the call", async () => (await own(tab)).every(([, calls]) => calls === `own-${react}`));
      assert.deepEqual([await service.viewers(), tab.streams], [1, 1]);
      const { calls } = await (await service.get("/api/ringcentral/active-calls")).json();
      assert.equal(await tab.page.evaluate((id) => window.dismiss(id), calls[0].id), true);
      await tab.untilCards(0);
      await eventually("neither lists the call", async () => (await own(tab)).every(([, calls]) => calls === ""));
      await change(tab, { calls: 1, popup: false });
      await eventually("the last component keeps its calls live", async () => (await own(tab)).length === 1 && (await own(tab))[0][0] === "live");
      assert.deepEqual(tab.complaints, []);
      await change(tab, { calls: 0 });
      await eventually("no stream", async () => (await service.viewers()) === 0);
    });

    test("dial asks the service, and leaves the number to the telephone app where that cannot dial", async () => {
      const tab = await open({ start: { popup: false, calls: 1 } });
      await eventually("it is live", async () => (await own(tab))[0][0] === "live");
      let asked = null;
      const answers = [{ status: 404, body: { error: { code: "not_found", message: "There is nothing here." } } }, { status: 202, body: { via: "ringout", session_id: "s1" } },
        { status: 403, body: { error: { code: "not_permitted", message: "You may not dial." } } }];
      const headers = { "Access-Control-Allow-Origin": site, "Access-Control-Allow-Credentials": "true" };
      await tab.page.setRequestInterception(true);
      tab.page.on("request", (request) => {
        if (request.method() !== "POST" || !request.url().endsWith("/api/ringcentral/dial")) return request.continue();
        asked = [request.headers().authorization?.slice(0, 7), request.postData()];
        const { status, body } = answers.shift();
        request.respond({ status, contentType: "application/json", headers, body: JSON.stringify(body) });
      });
      assert.deepEqual(await tab.page.evaluate(() => window.dial("+1 (416) 555-1234")), { via: "tel", link: "tel:+14165551234" });
      assert.deepEqual(asked, ["Bearer ", JSON.stringify({ number: "+1 (416) 555-1234" })]);
      assert.deepEqual(await tab.page.evaluate(() => window.dial("101")), { via: "ringout", session_id: "s1" });
      await assert.rejects(tab.page.evaluate(() => window.dial("101")), /You may not dial/);
    });

    test("a prop that goes takes its attribute with it", async () => {
      const tab = await open({ start: { position: "bottom-left", customerUrl: "/crm/{id}" } });
      await tab.untilLive();
      const attributes = () => tab.page.$eval("call-popup", (element) => Object.fromEntries(element.getAttributeNames().sort().map((name) => [name, element.getAttribute(name)])));
      const others = { class: "calls", extension: "101 102", src: service.url };
      assert.deepEqual(await attributes(), { ...others, "customer-url": "/crm/{id}", position: "bottom-left" });
      await change(tab, { position: "top-left", customerUrl: undefined });
      await tab.until("document.querySelector('call-popup').position === 'top-left'");
      await tab.page.evaluate("window.change({ position: undefined, customerUrl: undefined })");
      await tab.until("document.querySelector('call-popup').position === 'top-right'");
      assert.deepEqual(await attributes(), others);
      assert.equal(tab.streams, 1);
    });

    test("a service that does not answer yet is asked again, with one warning", async () => {
      const late = new Service(await freePort(), [site]);
      const tab = await open({ src: late.url, at: late });
      await eventually("the warning", () => tab.complaints.some((line) => line.includes("could not be loaded")));
      await late.start(stage);
      await tab.untilLive();
      assert.equal(tab.complaints.filter((line) => !OF_THE_BROWSER.test(line)).length, 1, tab.complaints.join("\n"));
      await late.stop();
    });

    test("an element of another interface version is one warning", async () => {
      const element = "customElements.define('call-popup', class extends HTMLElement { static interfaceVersion = 2; static createFeed = () => Object.assign(new EventTarget(), { open() {}, close() {} }) })";
      const prepare = async ({ page: one }) => {
        await one.setRequestInterception(true);
        one.on("request", (request) => (request.url().endsWith("/call-popup.js") ? request.respond({ contentType: "text/javascript", headers: { "Access-Control-Allow-Origin": "*" }, body: element }) : request.continue()));
      };
      const tab = await open({ start: { calls: 1 }, prepare });
      await tab.until("customElements.get('call-popup')");
      await change(tab, { person: "kim", calls: 2 });
      await eventually("the warning", () => tab.complaints.length > 0);
      await tab.page.evaluate("new Promise(requestAnimationFrame)");
      assert.equal(tab.complaints.length, 1);
      assert.match(tab.complaints[0], /interface version 2, this package is for 1/);
    });
  });
}

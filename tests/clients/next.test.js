/** The dashboard of examples/nextjs as Next.js builds it, version 16 and 15, and one with the pages router and React 18.3. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { buildOnce, nextOf } from "./build.js";
import { CARDS, SECRET, Service, Stage, Tab, eventually, freePort, listenersOf, openBrowser, serve, start, startMongod, tokenOf } from "./support.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SARAH = "68e8929ff0f6291c7d863496";
/** How much larger the page's heap may be after half of them than it was after the other half. */
const HEAP_BYTES = 1.5 * 1024 * 1024;

const APPS = [
  { name: "Next.js 16, app router, customers in MongoDB", folder: "../../examples/nextjs", hasLogin: true, hasMongo: true, navigations: 200 },
  { name: "Next.js 15, app router, customers in a file", folder: "next15", hasLogin: true, navigations: 60 },
  { name: "Next.js 15 with React 18.3, pages router", folder: "pages-router", navigations: 60 },
];

for (const app of APPS) {
  describe(app.name, () => {
    const stage = new Stage();
    after(() => stage.close());
    let site;
    let service;
    let browser;
    let tab;

    before(async () => {
      const folder = here(app.folder);
      const port = await freePort();
      site = `http://127.0.0.1:${port}`;
      const database = app.hasMongo ? { MONGODB_URI: await startMongod(stage), MONGODB_DATABASE: "host" } : {};
      service = new Service(await freePort(), [site], database);
      const tokens = await serve(stage, (_, response) => response.end(tokenOf()));
      const settings = { ...database, CALLER_POPUP_URL: service.url, JWT_SECRET: SECRET, SESSION_SECRET: `${SECRET} too`, DEMO_USER: "dana", DEMO_PASSWORD: "secret", TOKENS: tokens };
      // Without settings: they are read by the server as it runs.
      await buildOnce(folder);
      await service.start(stage);
      if (app.hasMongo) await service.insertCustomers(database.MONGODB_URI);
      else await service.importCustomers();
      await start(stage, site, process.execPath, [...nextOf(folder, "start"), "--port", String(port), "--hostname", "127.0.0.1"], { cwd: folder, env: settings });
      browser = await openBrowser(stage);
    });

    const heading = (text) => `document.querySelector("h1")?.textContent === ${JSON.stringify(text)}`;
    const follow = (one, link) => one.page.evaluate((text) => [...document.querySelectorAll("a")].find((a) => a.textContent === text).click(), link);
    const press = (one, text) => one.page.evaluate((name) => [...document.querySelectorAll("button")].find((button) => button.textContent === name).click(), text);

    async function signIn(one, password = "secret") {
      await one.until(heading("Sign in"));
      await one.page.type("[name=name]", "dana");
      await one.page.type("[name=password]", password);
      await press(one, "Sign in");
    }

    /** The service counts the stream of a page that was left until it has written to it in vain, two seconds at most. */
    const oneStream = () => eventually("one stream", async () => (await service.viewers()) === 1);

    test("a person signs in, and the first requests to the service carry the token", async () => {
      tab = await Tab.open(browser, service, site);
      if (app.hasLogin) {
        await signIn(tab, "wrong");
        await tab.until("document.querySelector('[role=alert]')?.textContent === 'This name and password are not known.'");
        assert.equal(await tab.page.$("call-popup"), null);
        await tab.page.reload();
        await signIn(tab);
      }
      await tab.until(heading("Overview"));
      await tab.untilLive();
      await oneStream();
      assert.deepEqual(tab.requests.filter((request) => !request.proven), []);
      assert.equal(tab.streams, 1);
      assert.deepEqual(tab.complaints, []);
    });

    test("a page that the server rendered hydrates without a warning, and gives its token with the first request", async () => {
      tab.requests.length = 0;
      tab.streams = 0;
      const html = await tab.page.goto(`${site}/customers`).then((answer) => answer.text());
      assert.match(html, new RegExp(`<call-popup [^>]*src="${service.url}"[^>]*></call-popup>`), "the markup of the server has the element");
      await tab.untilLive();
      assert.equal(tab.streams, 1);
      assert.ok(tab.requests.length > 1);
      assert.deepEqual(tab.requests.filter((request) => !request.proven), []);
      assert.deepEqual(tab.complaints, []);
    });

    test("the card and the stream stay while pages change", async () => {
      await service.ring("stays");
      await tab.untilCards(1);
      await tab.page.evaluate(`(${CARDS})[0].isTheSame = true; window.isTheSame = true`);
      for (const [link, title] of [["Overview", "Overview"], ["Customers", "Customers"], ["Overview", "Overview"]]) {
        await follow(tab, link);
        await tab.until(heading(title));
        assert.deepEqual(await tab.page.evaluate(`[(${CARDS}).length, (${CARDS})[0].isTheSame, window.isTheSame]`), [1, true, true]);
      }
      assert.equal(tab.streams, 1);
      await tab.until("document.querySelector('output').textContent === '1 ringing'");
    });

    test("View customer goes to the customer by the router, without a reload", async () => {
      const [card] = await tab.cards();
      assert.match(card, /Sarah Customer/);
      await tab.page.evaluate(`(${CARDS})[0].querySelector("[part~=view]").click()`);
      await tab.until(heading("Sarah Customer"));
      assert.equal(new URL(tab.page.url()).pathname, `/customers/${SARAH}`);
      assert.deepEqual(await tab.page.evaluate(`[(${CARDS})[0].isTheSame, window.isTheSame]`), [true, true]);
      assert.equal(tab.streams, 1);
      assert.deepEqual(tab.complaints, []);
    });

    test("a second tab shows the card and shares the stream", async () => {
      const second = await Tab.open(browser, service, `${site}/customers`);
      await second.untilLive();
      await second.untilCards(1);
      assert.equal(second.streams, 0);
      await oneStream();
      await second.page.evaluate(`(${CARDS})[0].querySelector("[part~=dismiss]").click()`);
      await tab.untilCards(0);
      assert.deepEqual(second.complaints, []);
      await second.page.close();
      await service.hangUp("stays");
    });

    test(`${app.navigations} navigations while calls ring lose no card, show none twice, and leave nothing behind`, async () => {
      await tab.page.bringToFront();
      const measure = await measurerOf(tab);
      const ringing = [];
      const figures = [];
      for (let at = 0; at < app.navigations; at++) {
        if (at % 10 === 0) ringing.push(`navigation-${at}`) && (await service.ring(ringing.at(-1), `+1416555${1000 + at}`));
        if (at % 10 === 5 && ringing.length > 2) await service.hangUp(ringing.shift());
        const [link, title] = at % 2 ? ["Overview", "Overview"] : ["Customers", "Customers"];
        await follow(tab, link);
        await tab.until(heading(title));
        // The cards of calls that ended are shown for a moment more.
        await tab.until(`(${RINGING}).length === ${ringing.length}`);
        const numbers = await tab.page.evaluate(`(${RINGING}).map((card) => card.innerText.match(/555-\\d{4}/)[0])`);
        assert.equal(new Set(numbers).size, ringing.length, `after ${at}: ${numbers}`);
        if (at === app.navigations / 2 - 1 || at === app.navigations - 1) figures.push(await measure());
      }
      assert.equal(tab.streams, 1);
      await oneStream();
      const [half, all] = figures;
      console.log(`# after ${app.navigations / 2} and ${app.navigations} navigations: ${JSON.stringify(figures)}`);
      assert.deepEqual(all.listeners, half.listeners);
      assert.ok(all.heap - half.heap < HEAP_BYTES, JSON.stringify(figures));
      assert.deepEqual(tab.complaints, []);
      for (const session of ringing) await service.hangUp(session);
    });

    test("sign-out ends the stream, and no call is shown any more", async () => {
      const second = app.hasLogin ? await Tab.open(browser, service, `${site}/customers`) : null;
      await second?.untilLive();
      await press(tab, "Sign out");
      await tab.until("!document.querySelector('call-popup')");
      await second?.until(heading("Sign in"));
      await eventually("no stream", async () => (await service.viewers()) === 0);
      await service.ring("after");
      assert.equal(await tab.page.evaluate("document.querySelectorAll('call-popup, [data-call-popup]').length"), 0);
      if (app.hasLogin) {
        await tab.until(heading("Sign in"));
        assert.equal(await tab.page.evaluate("fetch('/api/call-token').then(({ status }) => status)"), 401);
      }
      await service.hangUp("after");
    });
  });
}

const RINGING = `${CARDS}.filter((card) => /Incoming call/.test(card.innerText))`;

/** Counts the listeners of what outlives a page, and the heap after a collection. */
async function measurerOf(tab) {
  const devtools = await tab.page.createCDPSession();
  return async () => {
    await devtools.send("HeapProfiler.collectGarbage");
    const { usedSize } = await devtools.send("Runtime.getHeapUsage");
    return { heap: usedSize, listeners: await listenersOf(tab) };
  };
}

/** What the tests of the clients run on: the real service, web servers of the host application, and Chromium. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import puppeteer from "puppeteer-core";

/** The repository; the tests themselves run in a copy of it, beside what npm installed. */
export const REPOSITORY = process.env.REPOSITORY;
export const SECRET = "a-secret-of-the-host-application";
/** For whatever is awaited, in milliseconds. */
export const PATIENCE_MS = 30_000;
const LONGEST_LOG = 4_000;

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** What a group of tests started; `close` ends it, the last first. */
export class Stage {
  #cleanUps = [];

  after(cleanUp) {
    this.#cleanUps.push(cleanUp);
  }

  async close() {
    for (const cleanUp of this.#cleanUps.reverse()) await cleanUp();
  }
}

/** Repeats until it answers something; the answer. */
export async function eventually(what, look) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `${what} in ${PATIENCE_MS / 1000} s`);
    await new Promise((later) => setTimeout(later, 50));
  }
}

/** A child process that is ended with the test; ready once `url` answers. */
export async function start(stage, url, program, parameters, { env = {}, cwd = tmpdir() } = {}) {
  const child = spawn(program, parameters, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  let failure = null;
  child.once("error", (error) => (failure = error));
  for (const output of [child.stdout, child.stderr]) output.on("data", (bytes) => (log = (log + bytes).slice(-LONGEST_LOG)));
  const stop = () => child.exitCode ?? child.signalCode ?? new Promise((done) => (child.once("exit", done), child.kill()));
  stage.after(stop);
  await eventually(`${program} answers`, () => {
    assert.ok(child.exitCode === null && !failure, `${program} ended: ${failure ?? log}`);
    return fetch(url).then(() => true, () => false);
  });
  return { stop, log: () => log };
}

/** Runs a command to its end. */
export async function run(program, parameters, { env = {}, cwd = tmpdir() } = {}) {
  const child = spawn(program, parameters, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const output of [child.stdout, child.stderr]) output.on("data", (bytes) => (log += bytes));
  const code = await new Promise((ended, failed) => (child.once("error", failed), child.once("close", ended)));
  assert.equal(code, 0, `${program} ${parameters.join(" ")}\n${log}`);
  return log;
}

/** The service with a store of its own, for pages of these origins. */
export class Service {
  #settings;

  constructor(port, origins, settings = {}) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.#settings = {
      BIND: `127.0.0.1:${port}`,
      JWT_SECRET: SECRET,
      API_TOKENS: "an-admin-of-the-tests-of-clients",
      ALLOWED_ORIGINS: origins.join(","),
      LOG: "warn",
      ...settings,
    };
  }

  static async start(stage, origins, settings) {
    const service = new Service(await freePort(), origins, settings);
    await service.start(stage);
    return service;
  }

  async start(stage) {
    if (!this.#settings.DATA_DIR) {
      const folder = mkdtempSync(join(tmpdir(), "caller-popup-"));
      stage.after(() => rmSync(folder, { recursive: true }));
      this.#settings.DATA_DIR = folder;
    }
    const { stop } = await start(stage, `${this.url}/health/live`, process.env.CALLER_POPUP, [], { env: this.#settings, cwd: this.#settings.DATA_DIR });
    this.stop = stop;
  }

  /** Customers with the ids of the examples. */
  async importCustomers() {
    await run(process.env.CALLER_POPUP, ["customers", "import", join(REPOSITORY, "examples/customers.csv")], { env: this.#settings, cwd: this.#settings.DATA_DIR });
  }

  /** The same in the collection of a host application. */
  async insertCustomers(uri) {
    const { MongoClient, ObjectId } = await import(mongodbOf("../../examples/nextjs"));
    const client = await MongoClient.connect(uri);
    const customer = { _id: new ObjectId("68e8929ff0f6291c7d863496"), name: "Sarah Customer", email: "sarah@example.com", phone: "(416) 555-1234" };
    await client.db(this.#settings.MONGODB_DATABASE).collection("customers").insertOne(customer);
    await client.close();
  }

  ring(session, number = "+14165551234") {
    return this.#notify(session, "Ringing", number);
  }

  /** At one extension alone, whose agents see it. */
  ringExtension(session, extension, number = "+14165551234") {
    return this.#notify(session, "Ringing", number, extension);
  }

  hangUp(session, number = "+14165551234") {
    return this.#notify(session, "NoCall", number);
  }

  /** A viewer's request. */
  async get(path) {
    const answer = await fetch(this.url + path, { headers: { Authorization: "Bearer an-admin-of-the-tests-of-clients" } });
    assert.equal(answer.status, 200, path);
    return answer;
  }

  /** How many streams are open. */
  async viewers() {
    const metrics = await (await this.get("/metrics")).text();
    return Number(metrics.match(/^caller_popup_viewers (\d+)/m)[1]);
  }

  async activeSessions() {
    const { calls } = await (await this.get("/api/ringcentral/active-calls")).json();
    return calls.map((call) => call.session_id).sort();
  }

  async #notify(sessionId, telephonyStatus, phoneNumber, extension = "~") {
    const body = { telephonyStatus, sessionId, from: { phoneNumber, name: "Test Caller" }, to: { phoneNumber: "+15879876543" }, direction: "Inbound" };
    const notification = { event: `/restapi/v1.0/account/~/extension/${extension}/presence`, body };
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(`${this.url}/api/webhooks/ringcentral`, { method: "POST", headers, body: JSON.stringify(notification) });
    assert.equal(answer.status, 200);
  }
}

/** A JWT as the host application makes it. */
export function tokenOf(sub = "dana", rights = { role: "admin" }) {
  const part = (json) => Buffer.from(JSON.stringify(json)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, ...rights, exp: Math.floor(Date.now() / 1000) + 600 })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/** A web server of the host application; its origin. */
export async function serve(stage, answer) {
  const server = http.createServer(answer).listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  stage.after(() => (server.closeAllConnections(), server.close()));
  return `http://127.0.0.1:${server.address().port}`;
}

export async function openBrowser(stage) {
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
    defaultViewport: { width: 1280, height: 800 },
  });
  stage.after(() => browser.close());
  return browser;
}

/** A page, with what it wrote to the console and what it requested of the service. */
export class Tab {
  /** Warnings, errors, and uncaught exceptions. */
  complaints = [];
  /** Requests to the service, but for its script. */
  requests = [];
  /** Streams that were opened. */
  streams = 0;

  static async open(browser, service, url) {
    const tab = new Tab();
    tab.page = await browser.newPage();
    tab.page.setDefaultTimeout(PATIENCE_MS);
    tab.page.on("console", (message) => tab.#onConsole(message));
    tab.page.on("pageerror", (error) => tab.complaints.push(String(error)));
    tab.page.on("request", (request) => tab.#onRequest(request, service));
    if (url) await tab.page.goto(url);
    return tab;
  }

  #onConsole(message) {
    const { url = "" } = message.location();
    // While Next.js 15 replaces the link to the icon, Chromium asks for the usual one.
    if (!["warn", "error"].includes(message.type()) || url.endsWith("/favicon.ico")) return;
    this.complaints.push(`${message.text()} ${url}`.trim());
  }

  #onRequest(request, service) {
    const url = new URL(request.url());
    if (url.origin !== service.url || url.pathname === "/call-popup.js" || request.method() === "OPTIONS") return;
    const isStream = url.pathname.endsWith("/call-stream");
    if (isStream) this.streams += 1;
    // A stream is opened with the token in a form, or with a ticket.
    const inForm = isStream && request.method() === "POST" && new URLSearchParams(request.postData() ?? "").has("token");
    const proven = Boolean(request.headers().authorization) || inForm || (isStream && url.searchParams.has("ticket"));
    this.requests.push({ path: url.pathname, proven });
  }

  /** Waits until the expression is true in the page. */
  until(expression) {
    return this.page.waitForFunction(expression, { polling: 50 }).catch((error) => {
      throw new Error(`${expression}: ${error.message}; the console: ${this.complaints.join("\n")}`);
    });
  }

  untilLive() {
    return this.until("document.querySelector('call-popup')?.status?.state === 'live'");
  }

  /** Waits for so many cards on screen, and for no other number. */
  untilCards(count) {
    return this.until(`(${CARDS}).length === ${count}`);
  }

  cards() {
    return this.page.evaluate(`(${CARDS}).map((card) => card.innerText)`);
  }
}

export const CARDS = "[...document.querySelector('call-popup')?.shadowRoot?.querySelectorAll('.cards [part~=card]:not(.leaving):not([hidden])') ?? []]";

/** How many listeners are on the element, and on what outlives it. */
export async function listenersOf(tab) {
  const devtools = await tab.page.createCDPSession();
  const listeners = {};
  for (const object of ["window", "document", "document.querySelector('call-popup')"]) {
    const { result } = await devtools.send("Runtime.evaluate", { expression: object });
    if (result.objectId) listeners[object] = (await devtools.send("DOMDebugger.getEventListeners", { objectId: result.objectId })).listeners.length;
  }
  await devtools.detach();
  return listeners;
}

/** The package as it is packed; npm installed it into the example. */
export const packageFolder = () => fileURLToPath(new URL("../../examples/nextjs/node_modules/@caller-popup/react", import.meta.url));

/** A mongod of its own, a replica set of one; its address. */
export async function startMongod(stage) {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "mongod-"));
  stage.after(() => rmSync(folder, { recursive: true }));
  // It answers HTTP with a sentence.
  await start(stage, `http://127.0.0.1:${port}`, process.env.MONGOD, ["--dbpath", folder, "--port", String(port), "--bind_ip", "127.0.0.1", "--replSet", "rs0", "--quiet"]);
  const uri = `mongodb://127.0.0.1:${port}/`;
  const { MongoClient } = await import(mongodbOf("../../examples/nextjs"));
  const client = await MongoClient.connect(`${uri}?directConnection=true`);
  await client.db("admin").command({ replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: `127.0.0.1:${port}` }] } });
  await eventually("a primary", () => client.db("admin").command({ hello: 1 }).then(({ isWritablePrimary }) => isWritablePrimary));
  await client.close();
  return `${uri}?replicaSet=rs0`;
}

/** The driver that the example uses. */
const mongodbOf = (folder) => fileURLToPath(new URL(`${folder}/node_modules/mongodb/lib/index.js`, import.meta.url));

/**
 * What the measurements run on: the service with an empty store, a page of another origin that embeds its popup, a connection
 * with a round-trip time in between, and Chromium.
 *
 *   CALLER_POPUP  the program; target/release/caller-popup by default
 *   CHROMIUM, CHROMEDRIVER  the browser, when they are not on PATH
 */
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const PROGRAM = process.env.CALLER_POPUP ?? fileURLToPath(new URL("../../target/release/caller-popup", import.meta.url));
const SECRET = "a secret of the host application, 32 bytes or more";

export class Stage {
  #cleanUps = [];
  /** The process that was started last. */
  pid = 0;

  /** Ends all that was started, the last first. */
  async close() {
    for (const cleanUp of this.#cleanUps.reverse()) await cleanUp();
  }

  /** @param {(() => unknown)} cleanUp */
  after(cleanUp) {
    this.#cleanUps.push(cleanUp);
  }

  /**
   * A child process, and the first match in what it writes.
   *
   * @param {string} program
   * @param {string[]} parameters
   * @param {RegExp} ready
   * @param {Record<string, string>} settings
   */
  async run(program, parameters, ready, settings = {}) {
    const child = spawn(program, parameters, { env: { ...process.env, ...settings }, stdio: ["ignore", "pipe", "pipe"], cwd: settings.DATA_DIR ?? tmpdir() });
    this.pid = child.pid ?? 0;
    this.after(() => child.exitCode ?? new Promise((done) => (child.once("exit", done), child.kill())));
    return new Promise((found, failed) => {
      child.once("error", failed);
      child.once("exit", (code) => failed(new Error(`${program} ended with ${code}`)));
      for (const output of [child.stdout, child.stderr]) {
        createInterface(output).on("line", (line) => ready.test(line) && found(line.match(ready)));
      }
    });
  }

  /**
   * The service at a port of its own; answers the port.
   *
   * @param {Record<string, string>} settings
   */
  async service(settings) {
    const folder = mkdtempSync(join(tmpdir(), "caller-popup-"));
    this.after(() => rmSync(folder, { recursive: true }));
    const [, port] = await this.run(PROGRAM, [], /"address":"[^"]*:(\d+)"/, { BIND: "127.0.0.1:0", DATA_DIR: folder, LOG_FORMAT: "json", LOG: "info", ...settings });
    return Number(port);
  }

  /** @param {http.RequestListener} answer */
  async site(answer) {
    return this.#listen(http.createServer(answer));
  }

  /**
   * Passes bytes on to a port after half a round trip each way. That a connection is opened costs nothing here.
   *
   * @param {number} port
   * @param {number} rttMs
   * @param {(connection: number) => void} [opened]
   */
  async distance(port, rttMs, opened = () => {}) {
    let connections = 0;
    return this.#listen(net.createServer((near) => {
      const far = net.connect(port, "127.0.0.1");
      opened((connections += 1));
      for (const [from, to] of [[near, far], [far, near]]) {
        from.setNoDelay(true);
        from.on("data", (bytes) => setTimeout(() => to.writable && to.write(bytes), rttMs / 2));
        from.on("close", () => setTimeout(() => to.destroy(), rttMs / 2));
        from.on("error", () => {});
      }
    }));
  }

  /** @param {net.Server} server */
  async #listen(server) {
    await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
    this.after(() => (server.closeAllConnections?.(), server.close()));
    return server.address().port;
  }

  async browser() {
    const [, port] = await this.run(process.env.CHROMEDRIVER ?? "chromedriver", ["--port=0"], /started successfully on port (\d+)/);
    const browser = new Browser(`http://127.0.0.1:${port}`);
    await browser.start();
    this.after(() => browser.close());
    return browser;
  }
}

class Browser {
  #driver;
  #session = "";

  constructor(driver) {
    this.#driver = driver;
  }

  async start() {
    const args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900", "--disable-dev-shm-usage"];
    const options = { args, binary: process.env.CHROMIUM };
    const { sessionId } = await this.#send("POST", "/session", { capabilities: { alwaysMatch: { "goog:chromeOptions": options } } });
    this.#session = `/session/${sessionId}`;
    await this.#send("POST", `${this.#session}/timeouts`, { script: 120_000 });
  }

  go(url) {
    return this.#send("POST", `${this.#session}/url`, { url });
  }

  /** The value of a script; one that is a promise is awaited. */
  run(script, ...values) {
    const awaited = `const done = arguments[arguments.length - 1]; (async () => { ${script} })().then(done, (error) => done({ failed: String(error) }));`;
    return this.#send("POST", `${this.#session}/execute/async`, { script: awaited, args: values });
  }

  /** A command of the DevTools protocol. */
  devtools(cmd, params = {}) {
    return this.#send("POST", `${this.#session}/goog/cdp/execute`, { cmd, params });
  }

  close() {
    return this.#send("DELETE", this.#session);
  }

  async #send(method, path, body) {
    const answer = await fetch(this.#driver + path, { method, body: body && JSON.stringify(body) });
    const { value } = await answer.json();
    if (value?.error) throw new Error(value.message);
    return value;
  }
}

/** What the service is told so that a page at `origin` may embed its popup with tokens of `token`. */
export const settingsFor = (origin) => ({ JWT_SECRET: SECRET, ALLOWED_ORIGINS: origin });

/** A token of the host application for somebody who sees every call. */
export function token() {
  const part = (claims) => Buffer.from(JSON.stringify(claims)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: "dana", role: "admin", exp: Math.floor(Date.now() / 1000) + 600 })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/** The value below which a share of the values is. */
export const percentile = (values, share) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];

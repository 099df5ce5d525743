/**
 * A service and a browser for random histories: calls with revisions, a log of limited length to resume from, tokens that expire,
 * lines that die without saying so, and tabs whose main thread hangs. A tab that hangs gets its timers, messages, answers and
 * lock callbacks late, in order, as in a browser.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { CallFeed } from "../../static/feed/call-feed.js";
import { ActiveCalls } from "../../static/dashboard/active-calls.js";
import { Browser, SRC } from "./browser.js";

const LOG_LENGTH = 12;
const LATENCY_MS = 40;
const RETRY_MS = 1_500;
/** As the service: with no call on the screen every 2 s, else every 15 s. */
const HEARTBEAT_MS = [2_000, 15_000];

const isVisible = ({ status }) => status !== "setup" && status !== "ended";
const jwt = (version) => ["{}", JSON.stringify({ sub: "dana" }), String(version)].map((part) => Buffer.from(part).toString("base64url")).join(".");

/** The calls, and what each stream is sent. */
export class SimulatedService {
  isUp = true;
  isReachable = true;
  /** The version of the token, or session, that is accepted; the page has the same one unless it expired. */
  accepted = 1;
  calls = new Map();
  dismissed = new Set();
  #random;
  #epoch = 1;
  #log = [];
  #head = 0;
  #streams = new Set();

  /** @param {() => number} random */
  constructor(random) {
    this.#random = random;
  }

  /** The calls on this viewer's screen. */
  get shown() {
    return [...this.calls.values()].filter((call) => isVisible(call) && !this.dismissed.has(call.id));
  }

  get active() {
    return [...this.calls.values()].filter(isVisible);
  }

  change(id, status) {
    const before = this.calls.get(id);
    const ended = status === "ended" ? { ended_at: new Date(Date.now()).toISOString(), result: "missed" } : {};
    const after = { timestamp: new Date(Date.now()).toISOString(), ...before, id, status, ...ended, rev: (before?.rev ?? 0) + 1 };
    this.calls.set(id, after);
    this.#publish({ id, was: before && this.#isShown(before), before, after });
  }

  /** This viewer dismisses a call, here or on another device. */
  dismiss(id) {
    const call = this.calls.get(id);
    if (!call || this.dismissed.has(id)) return;
    const was = this.#isShown(call);
    this.dismissed.add(id);
    this.#publish({ id, was, before: call, after: call });
  }

  /** Every stream ends, the log is lost, the calls are kept. */
  restart() {
    for (const stream of this.#streams) {
      if (!stream.isDead) stream.say("error", { error: { code: "shutting_down", message: "The service is restarting." } });
    }
    this.breakAll();
    this.#epoch += 1;
    this.#log = [];
  }

  breakAll() {
    for (const stream of [...this.#streams]) {
      this.#streams.delete(stream);
      if (!stream.isDead) stream.interrupt();
    }
  }

  /** What is connected now is never heard of again; the browser does not notice. */
  blackhole() {
    for (const stream of this.#streams) stream.isDead = true;
    this.#streams.clear();
  }

  /** @param {(position: string) => FetchedStream} stream  makes what is read of a stream that is asked for with a form */
  async answer(url, { method = "GET", headers = {}, body, signal }, version, stream) {
    if (!this.isReachable) await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new TypeError("network"))));
    if (!this.isUp) throw new TypeError("network");
    const { pathname, searchParams } = new URL(url);
    const isForm = pathname.endsWith("call-stream");
    const token = isForm ? body.get("token") : headers.Authorization?.replace("Bearer ", "");
    const asked = token ? token === jwt(this.accepted) : version === this.accepted;
    if (!asked) return reply(401, { error: { code: token ? "expired" : "unauthorized", message: "Your sign-in has ended." } });
    if (isForm) return this.#open(stream(body.get("last_event_id") ?? ""), signal);
    if (pathname.endsWith("ticket")) return reply(200, { ticket: `ticket-${this.accepted}` });
    const [, id] = pathname.match(/calls\/(.+)\/dismiss$/) ?? [];
    if (method === "POST" && id) {
      if (!this.calls.has(id)) return reply(404);
      this.dismiss(id);
      return reply(200, { status: "success" });
    }
    const calls = searchParams.get("dismissed") === "false" ? this.shown : this.active;
    return reply(200, { calls: structuredClone(calls) });
  }

  /** A stream arrives; `version` is that of its ticket or session. */
  accept(stream, version) {
    if (stream.isDead || !this.isReachable) return;
    if (!this.isUp) return stream.interrupt();
    if (version !== this.accepted) return stream.refuse();
    const [epoch, position] = stream.position.split("-").map(Number);
    const kept = epoch === this.#epoch && this.#head - position <= this.#log.length;
    const missed = kept ? this.#log.slice(this.#log.length - (this.#head - position)) : [];
    stream.say("connected", { resumed: kept, active: this.shown.map(({ id }) => id), server_time: new Date(Date.now()).toISOString() }, kept ? "" : "anew");
    if (kept) for (const change of missed) this.#tell(stream, change);
    else for (const call of this.shown) stream.say(call.status === "ringing" ? "call" : "call_updated", { call });
    stream.say("heartbeat", {}, this.#id);
    this.#streams.add(stream);
    this.#beat(stream);
  }

  leave(stream) {
    this.#streams.delete(stream);
  }

  /** @param {FetchedStream} stream */
  #open(stream, signal) {
    signal.addEventListener("abort", () => {
      this.leave(stream);
      stream.interrupt();
    });
    if (!signal.aborted) this.accept(stream, this.accepted);
    return { ...reply(200), headers: new Headers({ "Content-Type": "text/event-stream" }), body: { getReader: () => stream } };
  }

  #beat(stream) {
    setTimeout(() => {
      if (!this.#streams.has(stream)) return;
      stream.say("heartbeat", {}, this.#id);
      this.#beat(stream);
    }, HEARTBEAT_MS[this.shown.length ? 1 : 0]);
  }

  get #id() {
    return `${this.#epoch}-${this.#head}`;
  }

  #isShown(call) {
    return isVisible(call) && !this.dismissed.has(call.id);
  }

  #publish(change) {
    this.#head += 1;
    this.#log = [...this.#log, { ...change, is: this.#isShown(change.after) }].slice(-LOG_LENGTH);
    for (const stream of this.#streams) this.#tell(stream, this.#log.at(-1), this.#id);
  }

  #tell(stream, { was, is, before, after }, position = "") {
    if (!was && !is) return;
    const type = !is ? "call_ended" : was || after.status !== "ringing" ? "call_updated" : "call";
    stream.say(type, { call: after }, position);
    // Two instances tell of the same change, and the order between them is any.
    if (was && before !== after && this.#random() < 0.2) stream.say("call_updated", { call: before });
  }
}

const reply = (status, body = {}) => ({ ok: status < 300, status, json: async () => body });

/** The body of an answer that is a stream: events go in, bytes are read. */
class FetchedStream {
  isDead = false;
  #chunks = [];
  #read = null;
  #gate;

  /** @param {(run: () => void) => void} gate  runs it when the tab does not hang */
  constructor(position, gate) {
    this.position = position;
    this.#gate = gate;
  }

  say(type, data = {}, position = "") {
    if (position) this.position = position;
    const id = position && `id: ${position}\n`;
    this.#push({ done: false, value: new TextEncoder().encode(`${id}event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`) });
  }

  interrupt() {
    this.#push({ done: true });
  }

  read() {
    return new Promise((resolve) => {
      this.#read = resolve;
      this.#deliver();
    });
  }

  #push(chunk) {
    this.#chunks.push(chunk);
    this.#deliver();
  }

  #deliver() {
    if (!this.#read || !this.#chunks.length) return;
    const [read, chunk] = [this.#read, this.#chunks.shift()];
    this.#read = null;
    this.#gate(() => read(chunk));
  }
}

/** The tabs of one browser at a service. To be made with the clock stopped. */
export class SimulatedBrowser {
  tabs = [];
  /** The version of the token the page gives, or of the cookie. */
  version = 1;
  #service;
  #random;
  #usesToken;
  #usesForms;
  #shared = new Browser();
  #context = new AsyncLocalStorage();

  /** @param {boolean} usesForms  whether a token opens a stream without a ticket */
  constructor(service, random, usesToken, usesForms) {
    this.#service = service;
    this.#random = random;
    this.#usesToken = usesToken;
    this.#usesForms = usesForms;
    this.#gateTimers();
  }

  open() {
    const tab = { hangs: false, queue: [], window: new EventTarget(), document: new EventTarget(), life: new AbortController() };
    this.#context.run(tab, () => {
      tab.feed = new CallFeed(SRC, {
        EventSource: this.#eventSource(tab),
        streamsAnswers: this.#usesForms,
        BroadcastChannel: this.#channel(tab),
        locks: { request: (...wish) => this.#request(tab, ...wish) },
        fetch: (url, options) => this.#fetch(tab, url, options),
        random: this.#random,
        log: () => {},
        window: tab.window,
        document: tab.document,
        location: new URL(SRC),
      });
      if (this.#usesToken) tab.feed.token = () => jwt(this.version);
      const read = () => tab.feed.service.get("api/ringcentral/active-calls").then(({ calls }) => calls, () => null);
      tab.table = new ActiveCalls(tab.feed, { read, isVisible: () => true }, tab.life.signal);
      tab.feed.addEventListener("resync", () => tab.table.request(), { signal: tab.life.signal });
      tab.feed.open();
      tab.table.load();
    });
    this.tabs.push(tab);
    return tab;
  }

  close(tab) {
    this.wake(tab);
    this.tabs = this.tabs.filter((other) => other !== tab);
    tab.life.abort();
    this.run(tab, () => tab.feed.close());
  }

  /** Closes all tabs. A storage that is not disabled makes every promise of the process a little slower. */
  end() {
    for (const tab of this.tabs) this.close(tab);
    this.#context.disable();
  }

  hang(tab) {
    tab.hangs = true;
  }

  /** What waited happens now, in order. */
  wake(tab) {
    tab.hangs = false;
    for (const run of tab.queue.splice(0)) this.run(tab, run);
  }

  /** Sends an event of the page to this tab. */
  send(tab, target, name) {
    this.#gate(tab, () => tab[target].dispatchEvent(new Event(name)));
  }

  run(tab, act) {
    return this.#context.run(tab, act);
  }

  #gate(tab, run) {
    if (tab.hangs) tab.queue.push(run);
    else this.run(tab, run);
  }

  /** A promise whose answer a tab that hangs gets later. */
  #late(tab, promise) {
    return new Promise((resolve, reject) => {
      promise.then((value) => this.#gate(tab, () => resolve(value)), (error) => this.#gate(tab, () => reject(error)));
    });
  }

  #gateTimers() {
    const { setTimeout, clearTimeout } = globalThis;
    const cleared = new Set();
    globalThis.setTimeout = (run, ms) => {
      const tab = this.#context.getStore();
      if (!tab) return setTimeout(run, ms);
      // One that is due in a tab that hangs can still be cleared.
      const id = setTimeout(() => this.#gate(tab, () => cleared.delete(id) || run()), ms);
      return id;
    };
    globalThis.clearTimeout = (id) => {
      if (id !== undefined) cleared.add(id);
      clearTimeout(id);
    };
  }

  #fetch(tab, url, options) {
    const { version } = this;
    const answer = this.#context.exit(async () => {
      await new Promise((resolve) => setTimeout(resolve, LATENCY_MS));
      return this.#service.answer(url, options, version, (position) => new FetchedStream(position, (run) => this.#gate(tab, run)));
    });
    return this.#late(tab, answer);
  }

  #channel(tab) {
    const Shared = this.#shared.broadcastChannel();
    const gate = (run) => this.#gate(tab, run);
    return class extends Shared {
      set onmessage(listener) {
        this.listener = listener;
      }
      get onmessage() {
        return (event) => gate(() => this.listener(event));
      }
    };
  }

  #request(tab, name, options, held) {
    const granted = () => new Promise((resolve) => this.#gate(tab, () => resolve(held())));
    return this.#late(tab, this.#shared.locks.request(name, options, granted));
  }

  #eventSource(tab) {
    const service = this.#service;
    const versionNow = () => this.version;
    const outside = (run) => this.#context.exit(run);
    const gate = (run) => this.#gate(tab, run);
    return class {
      readyState = 0;
      isDead = false;
      #listeners = {};
      #ticket;
      constructor(url) {
        const { searchParams } = new URL(url);
        this.position = searchParams.get("last_event_id") ?? "";
        this.#ticket = searchParams.get("ticket");
        this.#connect(LATENCY_MS);
      }
      #connect(ms) {
        const version = this.#ticket ? Number(this.#ticket.split("-")[1]) : versionNow();
        outside(() => setTimeout(() => this.readyState !== 2 && service.accept(this, version), ms));
      }
      addEventListener(name, listener) {
        this.#listeners[name] = listener;
      }
      close() {
        this.readyState = 2;
        service.leave(this);
      }
      say(type, data = {}, position = "") {
        const text = JSON.stringify({ type, ...data });
        gate(() => {
          if (this.readyState === 2) return;
          this.readyState = 1;
          if (position) this.position = position;
          this.#listeners[type]({ type, data: text, lastEventId: this.position });
        });
      }
      /** The line breaks, and the browser opens it again by itself, with the same address. */
      interrupt() {
        gate(() => {
          if (this.readyState === 2) return;
          this.readyState = 0;
          this.#connect(RETRY_MS);
          this.#listeners.error({ type: "error" });
        });
      }
      refuse() {
        gate(() => {
          if (this.readyState === 2) return;
          this.readyState = 2;
          this.#listeners.error({ type: "error" });
        });
      }
    };
  }
}

/**
 * A browser with as many tabs as a test wants, in one process: they share its locks and channels, and its network notes every
 * stream and request. Its clock is stopped until a test moves it with `pass`.
 */
import { afterEach, beforeEach } from "node:test";
import { CallFeed } from "../../static/feed/call-feed.js";

export const SRC = "https://calls.example.com/";

export class Browser {
  streams = [];
  requests = [];
  logged = [];
  /** Whether a token opens a stream without a ticket, by `answerStream`. */
  streamsAnswers = false;
  answer = () => ({ ok: true, status: 200, json: async () => ({ calls: [] }) });
  #channels = new Set();
  #locks = new Map();
  #tabs = [];

  tab(options = {}, src = SRC) {
    const feed = new CallFeed(src, {
      EventSource: this.#eventSource(),
      streamsAnswers: this.streamsAnswers,
      BroadcastChannel: this.broadcastChannel(),
      locks: this.locks,
      fetch: async (url, request) => {
        this.requests.push([request?.method ?? "GET", url]);
        this.lastRequest = request;
        return this.answer(url, request);
      },
      random: () => 0.5,
      log: (line) => this.logged.push(line),
      ...options,
    });
    this.#tabs.push(feed);
    feed.open();
    return feed;
  }

  /** A tab whose stream has said `connected`. */
  async connectedTab(options) {
    const tab = this.tab(options);
    await settle();
    this.stream.says("connected", { resumed: false, active: [] }, "1");
    return tab;
  }

  get stream() {
    return this.streams.at(-1);
  }

  get open() {
    return this.streams.filter(({ readyState }) => readyState !== 2);
  }

  closeTabs() {
    for (const tab of this.#tabs) tab.close();
  }

  /** The answer to a stream that was asked for with a token in a form; the stream is the last of `streams`. */
  answerStream(url, { body, signal }) {
    const encoder = new TextEncoder();
    let controller;
    const stream = {
      url,
      form: body,
      readyState: 0,
      says: (type, data = {}, lastEventId = "") => {
        stream.readyState = 1;
        stream.sends(`${lastEventId && `id: ${lastEventId}\n`}event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
      },
      sends: (text) => controller.enqueue(encoder.encode(text)),
      ends: () => {
        stream.readyState = 2;
        controller.close();
      },
      breaks: () => {
        stream.readyState = 2;
        controller.error(new TypeError("network"));
      },
    };
    signal.addEventListener("abort", () => stream.readyState === 2 || stream.breaks());
    this.streams.push(stream);
    return new Response(new ReadableStream({ start: (one) => (controller = one) }), { headers: { "Content-Type": "text/event-stream" } });
  }

  #eventSource() {
    const { streams } = this;
    return class {
      readyState = 0;
      #listeners = {};
      constructor(url, options) {
        Object.assign(this, { url, options });
        streams.push(this);
      }
      addEventListener(name, listener) {
        this.#listeners[name] = listener;
      }
      close() {
        this.readyState = 2;
      }
      says(type, data = {}, lastEventId = "") {
        this.readyState = 1;
        this.#listeners[type]({ type, data: JSON.stringify({ type, ...data }), lastEventId });
      }
      breaks(readyState) {
        this.readyState = readyState;
        this.#listeners.error({ type: "error" });
      }
    };
  }

  broadcastChannel() {
    const channels = this.#channels;
    return class {
      constructor(name) {
        this.name = name;
        channels.add(this);
      }
      postMessage(data) {
        const copy = structuredClone(data);
        for (const other of channels) if (other !== this && other.name === this.name) queueMicrotask(() => channels.has(other) && other.onmessage({ data: copy }));
      }
      close() {
        channels.delete(this);
      }
    };
  }

  get locks() {
    return { request: (...wish) => this.#request(...wish) };
  }

  #request(name, { signal, steal }, held) {
    if (!this.#locks.has(name)) this.#locks.set(name, { holder: null, queue: [] });
    const lock = this.#locks.get(name);
    return new Promise((resolve, reject) => {
      const wish = { held, resolve, reject };
      const aborted = () => Object.assign(new Error("aborted"), { name: "AbortError" });
      signal?.addEventListener("abort", () => {
        lock.queue = lock.queue.filter((other) => other !== wish);
        if (lock.holder !== wish) reject(aborted());
      });
      if (steal) {
        const before = lock.holder;
        this.#grant(lock, wish);
        before?.reject(aborted());
      } else {
        lock.queue.push(wish);
        this.#next(lock);
      }
    });
  }

  #next(lock) {
    if (!lock.holder && lock.queue.length) this.#grant(lock, lock.queue.shift());
  }

  #grant(lock, wish) {
    lock.holder = wish;
    queueMicrotask(async () => {
      await wish.held();
      if (lock.holder !== wish) return;
      lock.holder = null;
      wish.resolve();
      this.#next(lock);
    });
  }
}

/** The browser of the test that runs. */
export let browser;

export function startBrowser() {
  browser = new Browser();
}

/** Gives each test of this file a browser of its own, and a clock that is stopped until a test moves it. */
export function eachTestHasABrowser() {
  beforeEach(() => {
    stopClock(Date.UTC(2025, 9, 19));
    startBrowser();
  });
  afterEach(() => {
    browser.closeTabs();
    startClock();
  });
}

/** A call that rings. */
export const call = (details = {}) => ({ id: "a", status: "ringing", timestamp: "2025-10-19T00:47:36.827Z", rev: 1, ...details });

/** An answer of the service. */
export const answers = (status, body = {}) => ({ ok: status < 300, status, json: async () => body });

/** Lets everything run that waits for nothing but its turn. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

const real = { setTimeout, clearTimeout, now: Date.now };
let now = 0;
let timers = [];

/** Stops the clock of this process at `start`. Our own and not node's mock, which older releases do not have for `Date`. */
export function stopClock(start) {
  now = start;
  timers = [];
  let last = 0;
  Date.now = () => now;
  globalThis.setTimeout = (run, ms = 0) => {
    timers.push({ id: ++last, at: now + ms, run });
    return last;
  };
  globalThis.clearTimeout = (id) => {
    timers = timers.filter((timer) => timer.id !== id);
  };
}

export function startClock() {
  Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout });
  Date.now = real.now;
}

/** Moves the clock as a machine's does that sleeps: no timer runs, and those that wait go on where they were. */
export function sleep(ms) {
  now += ms;
  for (const timer of timers) timer.at += ms;
}

/** Moves the clock, timer by timer, and lets what they start settle. */
export async function pass(ms) {
  const end = now + ms;
  for (;;) {
    const next = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at || a.id - b.id)[0];
    if (!next) break;
    timers = timers.filter((timer) => timer !== next);
    now = next.at;
    next.run();
    await settle();
  }
  now = end;
  await settle();
}

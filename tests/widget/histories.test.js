/**
 * Random histories on the feed and the table of active calls: events, dismissals, tabs opened, closed and hung, lines cut and
 * blackholed, the service restarted, tokens expired and renewed. In the end every tab shows what the service has.
 *
 * HISTORIES is how many are played (10000 for the full run), SEED where they begin.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { pass, startClock, stopClock } from "./browser.js";
import { SimulatedBrowser, SimulatedService } from "./simulated-service.js";

const HISTORIES = Number(process.env.HISTORIES ?? 60);
const SEED = Number(process.env.SEED ?? 1);
/** Longer than the longest backoff and the opening that follows. */
const HEALED_MS = 60_000;
const STATUSES = ["ringing", "connected", "on_hold", "setup", "ended", "ended"];

let setTimeoutBefore;
beforeEach(() => (setTimeoutBefore = globalThis.setTimeout));
afterEach(() => {
  startClock();
  globalThis.setTimeout = setTimeoutBefore;
});

/** A repeatable random number from 0 to 1. */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class History {
  told = [];
  #random;
  #service;
  #browser;
  #dismissedHere = new Set();
  #calls = 0;

  constructor(seed) {
    this.#random = randomFrom(seed);
    this.#service = new SimulatedService(this.#random);
    this.#browser = new SimulatedBrowser(this.#service, this.#random, this.#random() < 0.6, this.#random() < 0.7);
  }

  async play() {
    this.#browser.open();
    for (let step = 0; step < 30; step += 1) {
      this.#step();
      await pass(Math.floor(this.#random() * (this.#random() < 0.2 ? 20_000 : 2_000)));
    }
    this.#heal();
    await pass(HEALED_MS);
    this.#compare("healed");
    this.wake();
    for (let step = 0; step < 6; step += 1) {
      this.#say(this.#random() < 0.7 ? "event" : "dismiss");
      await pass(Math.floor(this.#random() * 500));
    }
    await pass(3_000);
    this.#compare("3 s after the last event");
    this.#browser.end();
  }

  #pick(list) {
    return list[Math.floor(this.#random() * list.length)];
  }

  #step() {
    const often = ["event", "event", "event", "event", "event", "dismiss", "dismiss"];
    const seldom = ["dismissElsewhere", "burst", "open", "close", "reload", "hang", "wake", "cut", "blackhole", "reconnect", "down", "up", "restart", "expire", "renew", "show"];
    this.#say(this.#pick(this.#random() < 0.5 ? often : seldom));
  }

  #say(what) {
    this.told.push(what);
    this[what]();
  }

  event() {
    const known = [...this.#service.calls.values()].filter(({ status }) => status !== "ended");
    if (known.length < 2 || this.#random() < 0.3) return this.#service.change(`c${++this.#calls}`, "ringing");
    const call = this.#pick(known);
    // That a call rings again which this viewer dismissed, the stream does not say, and a page opened meanwhile never knew it.
    const waits = call.status === "setup" && this.#service.dismissed.has(call.id);
    this.#service.change(call.id, waits ? "ended" : this.#pick(STATUSES));
  }

  /** More than the feed remembers of calls that ended, and more than the log holds. */
  burst() {
    for (let n = 0; n < 70; n += 1) {
      const id = `c${++this.#calls}`;
      this.#service.change(id, "ringing");
      this.#service.change(id, "ended");
    }
    for (const { id } of this.#service.active) if (this.#random() < 0.5) this.#service.change(id, "ended");
  }

  dismiss() {
    const tab = this.#pick(this.#browser.tabs.filter(({ hangs }) => !hangs));
    const call = tab && this.#pick(tab.feed.calls.filter(({ status, dismissed }) => status === "ringing" && !dismissed));
    if (!call) return;
    this.#dismissedHere.add(call.id);
    this.#browser.run(tab, () => tab.feed.dismiss(call.id));
  }

  dismissElsewhere() {
    const call = this.#pick(this.#service.shown);
    if (call) this.#service.dismiss(call.id);
  }

  open() {
    if (this.#browser.tabs.length < 3) this.#browser.open();
  }

  close() {
    if (this.#browser.tabs.length > 1) this.#browser.close(this.#pick(this.#browser.tabs));
  }

  reload() {
    this.#browser.close(this.#pick(this.#browser.tabs));
    this.#browser.open();
  }

  hang() {
    this.#browser.hang(this.#pick(this.#browser.tabs));
  }

  wake() {
    for (const tab of this.#browser.tabs) this.#browser.wake(tab);
  }

  cut() {
    this.#service.isReachable = false;
    this.#service.blackhole();
  }

  blackhole() {
    this.#service.blackhole();
  }

  reconnect() {
    this.#service.isReachable = true;
    for (const tab of this.#browser.tabs) this.#browser.send(tab, "window", "online");
  }

  down() {
    this.#service.isUp = false;
    this.#service.restart();
  }

  up() {
    this.#service.isUp = true;
  }

  restart() {
    this.#service.restart();
  }

  expire() {
    this.#service.accepted = this.#browser.version + 1;
    this.#service.breakAll();
  }

  renew() {
    this.#browser.version = this.#service.accepted;
  }

  show() {
    this.#browser.send(this.#pick(this.#browser.tabs), "document", "visibilitychange");
  }

  /** All but, in half of the histories, the tabs that hang: the others do without them. */
  #heal() {
    if (this.#random() < 0.5 || this.#browser.tabs.every(({ hangs }) => hangs)) this.wake();
    this.up();
    this.renew();
    this.reconnect();
  }

  #compare(when) {
    const of = (calls) => calls.map(({ id, status }) => `${id} ${status}`).sort();
    // A dismissal is final here even if the service never got it.
    const unsent = [...this.#dismissedHere].filter((id) => !this.#service.dismissed.has(id));
    const isSure = ({ id }) => !unsent.includes(id);
    for (const [at, { feed, table }] of this.#browser.tabs.entries()) {
      if (this.#browser.tabs[at].hangs) continue;
      const shown = feed.calls.filter(({ status, dismissed }) => !dismissed && status !== "setup" && status !== "ended");
      assert.equal(feed.status.state, "live", `tab ${at}, ${when}`);
      assert.deepEqual(of(shown.filter(isSure)), of(this.#service.shown.filter(isSure)), `the calls of tab ${at}, ${when}`);
      assert.deepEqual(of(table.rows), of(this.#service.active), `the table of tab ${at}, ${when}`);
    }
  }
}

test(`${HISTORIES} random histories end with what the service has`, async () => {
  for (let seed = SEED; seed < SEED + HISTORIES; seed += 1) {
    startClock();
    globalThis.setTimeout = setTimeoutBefore;
    stopClock(Date.UTC(2025, 9, 19));
    const history = new History(seed);
    await history.play().catch((error) => {
      throw new Error(`SEED=${seed}: ${error.message}\n${history.told.join(" ")}`, { cause: error });
    });
  }
});

/** Which tab leads, when the lock is granted, stolen and lost in an order that is not the usual one. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Tabs } from "../../static/feed/tabs.js";
import { Browser, pass, settle, startClock, stopClock } from "./browser.js";

beforeEach(() => stopClock(Date.UTC(2025, 9, 19)));
afterEach(startClock);

test("a tab whose waiting request is granted while it steals the lock leads once, and goes on leading", async () => {
  const wishes = [];
  const locks = { request: (name, options, held) => new Promise((resolve, reject) => wishes.push({ options, held, reject })) };
  const happened = [];
  const on = { lead: () => happened.push("lead"), stepBack: () => happened.push("step back"), ping: () => {}, message: () => {} };
  const tabs = new Tabs({ locks, BroadcastChannel: new Browser().broadcastChannel(), random: () => 0 }, on);
  tabs.join("name");
  await pass(13_000);
  const [waiting, stealing] = wishes;
  assert.equal(stealing.options.steal, true);
  waiting.held();
  stealing.held();
  waiting.reject(Object.assign(new Error("stolen"), { name: "AbortError" }));
  await settle();
  assert.deepEqual([happened, tabs.leading], [["lead"], true]);
  await pass(60_000);
  assert.equal(wishes.length, 2);
  stealing.reject(Object.assign(new Error("stolen"), { name: "AbortError" }));
  await settle();
  assert.deepEqual([happened, tabs.leading, wishes.length], [["lead", "step back"], false, 3]);
  tabs.leave();
});

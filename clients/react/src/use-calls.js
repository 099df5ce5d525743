"use client";
/**
 * `useCalls()`: the calls without cards. All components of a page share one feed for each service, and that shares the stream with
 * `<CallPopup>` and with the other tabs.
 */
import { useEffect, useSyncExternalStore } from "react";
import { loadElement } from "./load.js";

const NOTHING = Object.freeze({ calls: Object.freeze([]), status: Object.freeze({ state: "connecting", message: null }) });
const isShown = ({ status, dismissed }) => status !== "setup" && status !== "ended" && !dismissed;

/** @type {Map<string, SharedFeed>} */
const feeds = new Map();

/** @param {import("./index.js").UseCallsOptions} options */
export function useCalls({ src, token }) {
  let shared = feeds.get(src);
  if (!shared) feeds.set(src, (shared = new SharedFeed(src)));
  useEffect(() => {
    shared.token = token;
  });
  const { calls, status } = useSyncExternalStore(shared.subscribe, shared.read, () => NOTHING);
  return { calls, status, dismiss: shared.dismiss, dial: shared.dial };
}

class SharedFeed {
  #src;
  /** @type {import("./element.js").Token} */
  #token = null;
  /** @type {import("./element.js").CallFeed | null} */
  #feed = null;
  /** @type {AbortController | null} */
  #life = null;
  #listeners = new Set();
  #known = NOTHING;
  #source = NOTHING.calls;

  constructor(src) {
    this.#src = src;
  }

  /** Another function keeps the stream, as in `<CallPopup>`. */
  set token(token) {
    this.#token = token ?? null;
    if (this.#feed) this.#feed.token = this.#given;
  }

  get #given() {
    return typeof this.#token === "function" ? this.#readToken : this.#token;
  }

  #readToken = () => (typeof this.#token === "function" ? this.#token() : this.#token);

  read = () => this.#known;

  subscribe = (listener) => {
    this.#listeners.add(listener);
    if (!this.#life) this.#open();
    return () => {
      this.#listeners.delete(listener);
      // A page that replaces another one subscribes in the same task.
      setTimeout(() => this.#listeners.size === 0 && this.#close());
    };
  };

  /** Resolves to whether the service took it. */
  dismiss = async (id) => (await this.#feed?.dismiss(id)) ?? false;

  /** Resolves to `{ via, … }`; where the service cannot dial, to a link for the telephone app of this device. */
  dial = async (number) => {
    try {
      if (this.#feed) return await this.#feed.service.post("api/ringcentral/dial", { number });
    } catch (error) {
      if (error.status !== 404) throw error;
    }
    return { via: "tel", link: `tel:${number.replace(/[^\d+*#,;]/g, "")}` };
  };

  async #open() {
    const { signal } = (this.#life = new AbortController());
    const element = await loadElement(this.#src, signal);
    if (signal.aborted) return;
    const feed = (this.#feed = element.createFeed(this.#src));
    feed.token = this.#given;
    // `change` comes with every heartbeat, and `statuschange` always follows one.
    feed.addEventListener("change", () => this.#update(feed), { signal });
    feed.open();
  }

  #close() {
    this.#life?.abort();
    this.#life = null;
    this.#feed?.close();
    this.#feed = null;
    this.#known = NOTHING;
  }

  #update({ calls, status: { state, message } }) {
    const { status } = this.#known;
    if (calls === this.#source && status.state === state && status.message === message) return;
    this.#source = calls;
    this.#known = { calls: calls.filter(isShown), status: { state, message } };
    for (const listener of this.#listeners) listener();
  }
}

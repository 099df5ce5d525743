/**
 * The dashboard around its views: who is signed in, the status light, errors, simulating; and what changes with the viewer.
 *
 * @import { CallFeed } from "../feed/call-feed.js"
 * @import { Service } from "../lib/service.js"
 * @import { Route } from "./router.js"
 */
import { find } from "../lib/dom.js";
import { HealthMonitor } from "./health-monitor.js";
import { Notice } from "./notice.js";
import { Router } from "./router.js";
import { Session } from "./session.js";
import { SignIn } from "./sign-in.js";
import { Simulator } from "./simulator.js";

export class Dashboard {
  #feed;
  #service;
  #router;
  #notice;
  #health;
  #signIn;
  #session;
  #simulator;
  #settings = new EventTarget();
  /** Whether this page showed calls to the viewer, who was not refused since. */
  #hadAccess = false;
  /** @type {string | null} */
  #customerUrl = null;

  /**
   * @param {Document} page
   * @param {Record<string, Route>} routes
   * @param {CallFeed} feed
   * @param {Service} service
   */
  constructor(page, routes, feed, service) {
    this.#feed = feed;
    this.#service = service;
    this.#router = new Router(routes);
    this.#notice = new Notice(find(page, "#notice", HTMLElement));
    this.#health = new HealthMonitor(find(page, "#light", HTMLElement), feed, service);
    this.#signIn = new SignIn(find(page, "#sign-in", HTMLElement), service, () => this.#restartForViewer());
    this.#session = new Session(page, service, {
      otherViewer: () => this.#restartForViewer(),
      signedOut: () => this.#onSignedOut(),
      failure: (error) => this.#notice.showError(`You could not be signed out. ${error.message}`),
    });
    this.#simulator = new Simulator(page, service, (sentence) => this.#notice.showError(sentence));
    feed.addEventListener("change", () => feed.status.state === "denied" && this.#onDenied(feed.status));
    // A viewer signed in on another page while this one asked for it.
    feed.addEventListener("resync", () => this.#signIn.isShown && this.start());
    feed.addEventListener("viewerchange", () => {
      if (feed.status.state === "denied") return;
      this.#router.unmount();
      this.start();
    });
    addEventListener("hashchange", () => this.#router.show(location.hash));
  }

  /** Reads everything for the viewer who is signed in; again after a failure or another sign-in. */
  start() {
    this.#health.refresh();
    this.#session.refresh();
    this.#loadSettings();
    if (!this.#router.isMounted) this.#mount();
    this.#router.show(location.hash);
  }

  #mount() {
    this.#router.mount(location.hash, {
      feed: this.#feed,
      service: this.#service,
      settings: this.#settings,
      tableContext: () => ({ now: this.#feed.now(), customerUrl: this.#customerUrl }),
      showError: (sentence, retry) => this.#notice.showError(sentence, retry),
      onAccepted: () => this.#onAccepted(),
      onDenied: (error) => this.#onDenied(error),
      retry: () => {
        this.#feed.restart();
        this.start();
      },
    });
  }

  async #loadSettings() {
    try {
      const { customer_url, simulator } = await this.#service.get("api/ringcentral/config");
      this.#customerUrl = customer_url;
      this.#simulator.offer(simulator);
      this.#settings.dispatchEvent(new Event("change"));
    } catch {
      // A viewer who has to sign in first gets them then.
    }
  }

  /** Nothing that is known belongs to the viewer who is signed in now. */
  #restartForViewer() {
    this.#feed.restart({ viewerChanged: true });
  }

  #onAccepted() {
    this.#hadAccess = true;
    this.#signIn.hide();
    // The sign-in was where the tab that leads did not see it: in another tab, or at RingCentral.
    if (this.#feed.status.state === "denied") this.#restartForViewer();
  }

  /** @param {{ code: string | null, message: string | null }} [error]  the service's refusal */
  #onDenied(error) {
    this.#router.unmount();
    this.#session.hide();
    this.#signIn.show(error, this.#hadAccess);
    this.#hadAccess = false;
  }

  #onSignedOut() {
    this.#notice.showError(null);
    this.#restartForViewer();
    this.#onDenied();
    this.#signIn.confirmSignOut();
  }
}

/**
 * Who is signed in on the dashboard, and the ways to sign out: in this browser, or in all of them.
 *
 * @import { Service, ServiceError } from "../lib/service.js"
 */
import { find } from "../lib/dom.js";
import { Menu } from "./menu.js";

/** Where this browser remembers who used the dashboard last: the service's own id of them, which is no secret. */
const STORE = "dashboard viewer";

export class Session {
  #controls;
  #signOut;
  #service;
  #onOther;

  /**
   * @param {ParentNode} page
   * @param {Service} service
   * @param {object} on
   * @param {() => void} on.otherViewer  another person is signed in than last time
   * @param {() => void} on.signedOut
   * @param {(error: ServiceError) => void} on.failure  the sign-out failed
   */
  constructor(page, service, { otherViewer, signedOut, failure }) {
    this.#controls = find(page, "#session", HTMLElement);
    this.#signOut = find(page, "#sign-out", HTMLElement);
    this.#service = service;
    this.#onOther = otherViewer;
    const everywhere = find(page, "#sign-out-everywhere", HTMLElement);
    new Menu(find(page, "#session-menu", HTMLElement), find(page, "#session-choices", HTMLElement));
    for (const [button, query] of /** @type {const} */ ([[this.#signOut, ""], [everywhere, "?everywhere=true"]])) {
      button.addEventListener("click", () => service.remove(`api/auth/session${query}`).then(signedOut, failure));
    }
  }

  /** Asks who it is. A session has an end; in local mode there is none, and nothing to sign out of. */
  async refresh() {
    const session = await this.#service.get("api/auth/session").catch(() => null);
    this.#controls.hidden = !session?.expires_at;
    if (!session) return;
    const { id } = session.viewer;
    this.#signOut.title = `Signed in as ${id}`;
    if (isOther(id)) this.#onOther();
  }

  hide() {
    this.#controls.hidden = true;
  }
}

/** @param {string} id */
function isOther(id) {
  try {
    const before = localStorage.getItem(STORE);
    localStorage.setItem(STORE, id);
    return before !== null && before !== id;
  } catch {
    // Storage can be forbidden; then only a sign-in on this page is noticed.
    return false;
  }
}

/**
 * Who is signed in on the dashboard, and the button to sign out.
 *
 * @import { Service, ServiceError } from "../lib/service.js"
 */

/** Where this browser remembers who used the dashboard last: the service's own id of them, which is no secret. */
const STORE = "dashboard viewer";

export class Session {
  #button;
  #service;
  #onOther;

  /**
   * @param {HTMLElement} button
   * @param {Service} service
   * @param {object} on
   * @param {() => void} on.otherViewer  another person is signed in than last time
   * @param {() => void} on.signedOut
   * @param {(error: ServiceError) => void} on.failure  the sign-out failed
   */
  constructor(button, service, { otherViewer, signedOut, failure }) {
    this.#button = button;
    this.#service = service;
    this.#onOther = otherViewer;
    button.addEventListener("click", () => service.remove("api/auth/session").then(signedOut, failure));
  }

  /** Asks who it is. A session has an end; in local mode there is none, and nothing to sign out of. */
  async refresh() {
    const session = await this.#service.get("api/auth/session").catch(() => null);
    this.#button.hidden = !session?.expires_at;
    if (!session) return;
    const { id } = session.viewer;
    this.#button.title = `Signed in as ${id}`;
    if (isOther(id)) this.#onOther();
  }

  hide() {
    this.#button.hidden = true;
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

/**
 * Who is signed in on the dashboard, and the way out.
 */
import { get, remove } from "../lib/service.js";

/** Where this browser remembers who looked last: the service's own id of them, which is no secret. */
const STORE = "dashboard viewer";

export class Session {
  #button = document.getElementById("sign-out");
  #onOther;

  /** `onOther` runs when somebody else is signed in than last time, `onEnd` after a sign-out, `onFailure` with its error. */
  constructor({ onOther, onEnd, onFailure }) {
    this.#onOther = onOther;
    this.#button.addEventListener("click", () => remove("api/auth/session").then(onEnd, onFailure));
  }

  /** Asks who it is. A session ends some day; without an end there is none, as in local mode, and nothing to sign out of. */
  async show() {
    const session = await get("api/auth/session").catch(() => null);
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

function isOther(id) {
  try {
    const before = localStorage.getItem(STORE);
    localStorage.setItem(STORE, id);
    return before !== null && before !== id;
  } catch {
    // Storage can be forbidden; then whoever signs in on this page is all we know of.
    return false;
  }
}

/**
 * Calls that this tab has shown already, by id: those the viewer dismissed and those that were folded into the pill. They are
 * kept in sessionStorage, so that the next page of a site does not show their cards again.
 */

/** How many ids of each kind are kept across page loads. */
const REMEMBERED = 50;
const DISMISSED = "call-popup hidden";
const FOLDED = "call-popup folded";

export class SeenCalls {
  #dismissed = new Set();
  #folded = new Set();
  #persistent = false;

  /** Reads what earlier pages of this tab kept, and keeps what follows. */
  load() {
    this.#persistent = true;
    for (const id of read(DISMISSED)) this.#dismissed.add(id);
    for (const id of read(FOLDED)) this.#folded.add(id);
  }

  /** @param {string} id */
  isDismissed(id) {
    return this.#dismissed.has(id);
  }

  /** @param {string} id */
  isFolded(id) {
    return this.#folded.has(id);
  }

  /** @param {string} id */
  dismiss(id) {
    this.#dismissed.add(id);
    this.#folded.delete(id);
    this.#write();
  }

  /** @param {string} id */
  fold(id) {
    this.#folded.add(id);
    this.#write();
  }

  /** @param {string} id */
  unfold(id) {
    if (this.#folded.delete(id)) this.#write();
  }

  /** Another person uses the page: what one dismissed may be for the other to see. */
  clear() {
    this.#dismissed.clear();
    this.#folded.clear();
    this.#write();
  }

  #write() {
    if (!this.#persistent) return;
    write(DISMISSED, this.#dismissed);
    write(FOLDED, this.#folded);
  }
}

/**
 * @param {string} key
 * @returns {string[]}
 */
function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? "[]") ?? [];
  } catch {
    return [];
  }
}

/**
 * @param {string} key
 * @param {Set<string>} ids
 */
function write(key, ids) {
  try {
    sessionStorage.setItem(key, JSON.stringify([...ids].slice(-REMEMBERED)));
  } catch {
    // Storage can be forbidden; then they are kept as long as the page lives.
  }
}

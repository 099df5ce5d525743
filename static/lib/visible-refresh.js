/**
 * One thing a page reads from the service, no more often and no sooner than somebody can see it.
 *
 * What makes a reading due often does so in every tab of every browser at the same moment, such as a restart of the service.
 * No DOM here.
 */
export class Reading {
  #read;
  #wanted;
  #random;
  #due = false;
  #alarm = null;

  /** `read()` does it; `wanted()` says whether anybody would see it now. `random` stands in for Math.random in tests. */
  constructor(read, wanted, random = Math.random) {
    this.#read = read;
    this.#wanted = wanted;
    this.#random = random;
  }

  /** Reads at some moment within this time, once for all who say so; or when somebody looks, if nobody does then. */
  due(withinMs = 0) {
    this.#due = true;
    if (withinMs === 0) return this.look();
    this.#alarm ??= setTimeout(() => this.look(), this.#random() * withinMs);
  }

  /** Somebody may have begun to look: reads what is due and does not wait for its moment. */
  look() {
    clearTimeout(this.#alarm);
    this.#alarm = null;
    if (!this.#due || !this.#wanted()) return;
    this.#due = false;
    this.#read();
  }
}

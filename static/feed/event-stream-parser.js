/**
 * Reads a stream of Server-Sent Events from its bytes, as an EventSource does (HTML standard, 9.2.6). Pure.
 */

/** The end of a line; a CR at the end of a chunk is one, whatever comes next. */
const LINE_END = /\r\n|\n|\r/;

/**
 * @typedef {object} StreamedEvent
 * @property {string} type
 * @property {string} data
 * @property {string} lastEventId  of this event, or of the last one that had an id
 *
 * @typedef {object} EventStreamListener
 * @property {(event: StreamedEvent) => void} event
 * @property {(ms: number) => void} retry  how long to wait before the stream is opened again
 */

export class EventStreamParser {
  #on;
  // Removes a byte order mark, and keeps the first bytes of a character until the rest comes.
  #decoder = new TextDecoder();
  #rest = "";
  #endsWithReturn = false;
  #type = "";
  /** @type {string[]} */
  #data = [];
  #id;

  /**
   * @param {EventStreamListener} on
   * @param {string} lastEventId  of the stream before
   */
  constructor(on, lastEventId = "") {
    this.#on = on;
    this.#id = lastEventId;
  }

  /** @param {Uint8Array} chunk  cut anywhere */
  push(chunk) {
    const text = this.#decoder.decode(chunk, { stream: true });
    if (!text) return;
    // The line feed of a CRLF that was cut in two.
    const skipped = this.#endsWithReturn && text.startsWith("\n") ? 1 : 0;
    this.#endsWithReturn = text.endsWith("\r");
    const lines = (this.#rest + text.slice(skipped)).split(LINE_END);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line);
  }

  /** @param {string} line */
  #line(line) {
    if (!line) return this.#dispatch();
    const [, field, value] = /** @type {RegExpMatchArray} */ (line.match(/^([^:]*)(?:: ?(.*))?$/s));
    this.#field(field, value ?? "");
  }

  /**
   * @param {string} field  empty for a comment
   * @param {string} value
   */
  #field(field, value) {
    if (field === "event") this.#type = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.#on.retry(Number(value));
  }

  #dispatch() {
    const [type, data] = [this.#type || "message", this.#data];
    this.#type = "";
    this.#data = [];
    if (data.length) this.#on.event({ type, data: data.join("\n"), lastEventId: this.#id });
  }
}

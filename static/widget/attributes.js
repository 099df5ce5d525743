/**
 * The attributes of `<call-popup>`, each also a property in camelCase:
 *
 * | attribute      | default                 | |
 * |----------------|-------------------------|---|
 * | `src`          | where this file is from | base URL of the service |
 * | `position`     | `top-right`             | or `top-left`, `bottom-right`, `bottom-left` |
 * | `offset`       | `16`                    | pixels between the cards and that edge, for a fixed header |
 * | `auto-dismiss` | `30`                    | seconds until a card folds into the pill, while the page is visible; `0` = never |
 * | `customer-url` | the service's setting   | where "View customer" goes; `{id}` is the customer's id |
 * | `shortcut`     | `Alt+Shift+C`           | goes to the newest card, or opens the pill; empty = none |
 * | `extension`    | none                    | the viewer's own extension ids, by spaces: their cards stay while they talk |
 * | `theme`        | the page's color-scheme | `light`, `dark`, or `system` |
 * | `status-pill`  | `on`                    | `off` hides "Calls are not arriving", for pages that show the status themselves |
 */
import { base } from "../lib/service.js";

/** @type {Record<string, string>} */
const DEFAULTS = {
  src: base,
  position: "top-right",
  offset: "16",
  "auto-dismiss": "30",
  "customer-url": "",
  shortcut: "Alt+Shift+C",
  extension: "",
  theme: "",
  "status-pill": "on",
};

/** @type {typeof HTMLElement} */
const Base = globalThis.HTMLElement ?? class {};

export class PopupAttributes extends Base {
  static observedAttributes = Object.keys(DEFAULTS);
  /** Of the attributes, properties, events and static members that wrappers of frameworks use; a new number is an incompatible one. */
  static interfaceVersion = 1;

  get src() {
    return this.#attribute("src");
  }

  set src(url) {
    this.#setAttribute("src", url);
  }

  get position() {
    return this.#attribute("position");
  }

  set position(corner) {
    this.#setAttribute("position", corner);
  }

  /** @type {string | number} */
  get offset() {
    return this.#attribute("offset");
  }

  set offset(pixels) {
    this.#setAttribute("offset", pixels);
  }

  get offsetPixels() {
    return number(this.offset, Number(DEFAULTS.offset));
  }

  get autoDismiss() {
    return number(this.#attribute("auto-dismiss"), Number(DEFAULTS["auto-dismiss"]));
  }

  set autoDismiss(seconds) {
    this.#setAttribute("auto-dismiss", seconds);
  }

  get customerUrl() {
    return this.#attribute("customer-url");
  }

  set customerUrl(template) {
    this.#setAttribute("customer-url", template);
  }

  get shortcut() {
    return this.#attribute("shortcut");
  }

  set shortcut(keys) {
    this.#setAttribute("shortcut", keys);
  }

  get extension() {
    return this.#attribute("extension");
  }

  set extension(ids) {
    this.#setAttribute("extension", ids);
  }

  get theme() {
    return this.#attribute("theme");
  }

  set theme(name) {
    this.#setAttribute("theme", name);
  }

  get statusPill() {
    return this.#attribute("status-pill");
  }

  set statusPill(choice) {
    this.#setAttribute("status-pill", choice);
  }

  /** The viewer's own extension ids. */
  get extensionIds() {
    return this.extension.split(/[\s,]+/).filter(Boolean);
  }

  /** @param {string} name */
  #attribute(name) {
    return this.getAttribute(name) ?? DEFAULTS[name];
  }

  /**
   * Frameworks set a property that has no value any more to null or undefined.
   *
   * @param {string} name
   * @param {string | number | null | undefined} value
   */
  #setAttribute(name, value) {
    if (value === null || value === undefined) this.removeAttribute(name);
    else this.setAttribute(name, String(value));
  }

  /**
   * A property set before the module was loaded sits on the object itself and hides the accessor.
   *
   * @param {...string} others  properties without an attribute
   */
  adoptEarlyProperties(...others) {
    for (const name of [...others, ...Object.keys(DEFAULTS).map(camelCase)]) {
      if (!Object.hasOwn(this, name)) continue;
      const value = Reflect.get(this, name);
      Reflect.deleteProperty(this, name);
      Reflect.set(this, name, value);
    }
  }
}

/** @param {string} name */
const camelCase = (name) => name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());

/**
 * @param {string | number} text
 * @param {number} fallback
 */
function number(text, fallback) {
  const value = Number.parseFloat(String(text));
  return value >= 0 ? value : fallback;
}

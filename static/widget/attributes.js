/**
 * The attributes of `<call-popup>`, each also a property in camelCase. call-popup.js says what they mean.
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

  get src() {
    return this.#attribute("src");
  }

  set src(url) {
    this.setAttribute("src", url);
  }

  get position() {
    return this.#attribute("position");
  }

  set position(corner) {
    this.setAttribute("position", corner);
  }

  /** @type {string | number} */
  get offset() {
    return this.#attribute("offset");
  }

  set offset(pixels) {
    this.setAttribute("offset", String(pixels));
  }

  get offsetPixels() {
    return number(this.offset, Number(DEFAULTS.offset));
  }

  get autoDismiss() {
    return number(this.#attribute("auto-dismiss"), Number(DEFAULTS["auto-dismiss"]));
  }

  set autoDismiss(seconds) {
    this.setAttribute("auto-dismiss", String(seconds));
  }

  get customerUrl() {
    return this.#attribute("customer-url");
  }

  set customerUrl(template) {
    this.setAttribute("customer-url", template);
  }

  get shortcut() {
    return this.#attribute("shortcut");
  }

  set shortcut(keys) {
    this.setAttribute("shortcut", keys);
  }

  get extension() {
    return this.#attribute("extension");
  }

  set extension(ids) {
    this.setAttribute("extension", ids);
  }

  get theme() {
    return this.#attribute("theme");
  }

  set theme(name) {
    this.setAttribute("theme", name);
  }

  get statusPill() {
    return this.#attribute("status-pill");
  }

  set statusPill(choice) {
    this.setAttribute("status-pill", choice);
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

/**
 * Making and finding elements. Text goes in as text nodes, so that no value of a call can become markup.
 */

/** Written as attributes, because not every browser reflects them as properties. */
const ATTRIBUTES = /^(aria-|part$|role$)/;

/**
 * `el("button", { className: "button", "aria-label": "Close", dataset: { tone: "hold" }, onclick: close }, "Close")`
 *
 * Properties are the element's own, but for `dataset` and what must be an attribute; `undefined` sets nothing. Children that
 * are null, false or an empty text are left out.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (name === "dataset") Object.assign(element.dataset, value);
    else if (ATTRIBUTES.test(name)) element.setAttribute(name, value);
    else Reflect.set(element, name, value);
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/**
 * A value in a `<bdi>` of its own: a Hebrew name or an English number does not turn the words beside it around.
 *
 * @param {string} text
 * @param {boolean} [isNumber]  numbers are read from left to right everywhere
 */
export const bdi = (text, isNumber = false) => el("bdi", { dir: isNumber ? "ltr" : undefined }, text);

/**
 * An icon of 16 x 16, drawn by one path; its colour and stroke are the style sheet's.
 *
 * @param {string} path
 */
export function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/**
 * The element of this page that a script cannot work without. A page without it is an older or newer one than the script.
 *
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} type
 * @returns {T}
 */
export function find(root, selector, type) {
  const element = root.querySelector(selector);
  if (element instanceof type) return element;
  throw new Error(`this page has no ${type.name} at ${selector}`);
}

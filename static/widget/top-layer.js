/**
 * Keeps the popup above everything a page can show, and usable there.
 *
 * Elements in the browser's top layer are painted above every z-index and are not moved by a transform around them, so the
 * popup is a manual popover. What enters the top layer later is painted above it: after a dialog, a menu or a full screen it is
 * shown again.
 *
 * A modal dialog makes the rest of the page inert, popovers included: no click, no focus, no announcement. Therefore the popup's
 * content moves into the topmost modal dialog, in an outlet with a shadow root of its own, and back when the dialog closes. The
 * `<call-popup>` itself stays where the page put it. What browsers do not allow: to get into a dialog inside a closed shadow
 * root or a frame, and to keep the focus from a page whose script takes it back; there the popup is seen but not usable. The
 * outlet has the popup's custom properties, but `call-popup::part()` does not reach into it.
 */
import { el } from "../lib/dom.js";
import { CUSTOM_PROPERTIES } from "./style.js";

/** A pointer or click in the popup is not one beside the dialog, which many pages close then. */
const POINTER_EVENTS = ["pointerdown", "pointerup", "mousedown", "mouseup", "click"];

export class TopLayer {
  #home;
  #layer;
  #contents;
  #onRaise;
  #isOpen = false;
  /** @type {HTMLElement | null} */
  #outlet = null;
  /** Open modal dialogs, the topmost last. @type {HTMLDialogElement[]} */
  #modals = [];

  /**
   * @param {ShadowRoot} home
   * @param {HTMLElement} layer  what is shown
   * @param {HTMLElement[]} contents  what moves, the layer included
   * @param {() => void} onRaise  it was shown again
   */
  constructor(home, layer, contents, onRaise) {
    this.#home = home;
    this.#layer = layer;
    this.#contents = contents;
    this.#onRaise = onRaise;
    if (isSupported()) layer.setAttribute("popover", "manual");
  }

  /** The shadow root in which the content is now. */
  get root() {
    return /** @type {ShadowRoot} */ (this.#layer.getRootNode());
  }

  set open(/** @type {boolean} */ isOpen) {
    if (isOpen === this.#isOpen) return;
    this.#isOpen = isOpen;
    this.#layer.classList.toggle("open", isOpen);
    if (isSupported()) this.#raise();
  }

  /** @param {AbortSignal} signal */
  follow(signal) {
    if (!isSupported()) return;
    const options = { signal, capture: true };
    document.addEventListener("toggle", (event) => (isMenuOpening(event) ? this.#raise() : this.check()), options);
    document.addEventListener("fullscreenchange", () => this.#raise(), options);
    document.addEventListener("close", () => this.check(), options);
    // A modal dialog takes the focus when it opens, also one in a shadow tree of the page.
    document.addEventListener("focusin", (event) => this.#note(event.composedPath()), options);
    const observer = new MutationObserver(() => this.check());
    observer.observe(document.documentElement, { subtree: true, attributeFilter: ["open"] });
    signal.addEventListener("abort", () => {
      observer.disconnect();
      this.#isOpen = false;
      this.#layer.classList.remove("open");
      this.#place(false);
    });
  }

  /** Looks which dialogs are open. Called every second, because a dialog that is removed from the page closes without an event. */
  check() {
    if (isSupported()) this.#note(document.querySelectorAll("dialog:modal"));
  }

  #raise() {
    this.check();
    this.#place(true);
  }

  /** @param {Iterable<EventTarget>} nodes */
  #note(nodes) {
    const before = this.#modals.at(-1);
    const opened = [...nodes].filter((node) => node instanceof HTMLDialogElement && node.matches(":modal") && !this.#modals.includes(node));
    const focused = document.activeElement;
    opened.sort((a, b) => Number(contains(a, focused)) - Number(contains(b, focused)));
    this.#modals.push(.../** @type {HTMLDialogElement[]} */ (opened));
    this.#modals = this.#modals.filter((dialog) => dialog.isConnected && dialog.matches(":modal"));
    if (this.#modals.at(-1) !== before || !this.#layer.isConnected) this.#place(true);
  }

  /** @param {boolean} raise */
  #place(raise) {
    const dialog = this.#isOpen ? this.#modals.at(-1) : undefined;
    const root = dialog ? this.#outletIn(dialog) : this.#home;
    const moves = this.root !== root || !this.#layer.isConnected;
    // Not moveBefore: in Chromium 156 pseudo-elements are not painted after it.
    if (moves) root.append(...this.#contents);
    if (root === this.#home) this.#outlet?.remove();
    if (!this.#isOpen) return this.#hide();
    if (!raise && !moves) return;
    this.#hide();
    if (this.#layer.isConnected) this.#layer.showPopover();
    this.#onRaise();
  }

  #hide() {
    if (this.#layer.matches(":popover-open")) this.#layer.hidePopover();
  }

  /**
   * @param {HTMLDialogElement} dialog
   * @returns {ShadowRoot}
   */
  #outletIn(dialog) {
    if (!this.#outlet) {
      const outlet = el("div", { dataset: { callPopup: "outlet" } });
      outlet.attachShadow({ mode: "open" }).adoptedStyleSheets = this.#home.adoptedStyleSheets;
      for (const type of POINTER_EVENTS) outlet.addEventListener(type, (event) => event.stopPropagation());
      this.#outlet = outlet;
    }
    if (this.#outlet.parentNode !== dialog) dialog.append(this.#outlet);
    const looks = getComputedStyle(this.#home.host);
    for (const name of CUSTOM_PROPERTIES) this.#outlet.style.setProperty(name, looks.getPropertyValue(name));
    return /** @type {ShadowRoot} */ (this.#outlet.shadowRoot);
  }
}

/** Where popovers are not known, the popup is fixed with a high z-index. */
const isSupported = () => "showPopover" in HTMLElement.prototype;

/**
 * @param {EventTarget} element
 * @param {Element | null} other
 */
const contains = (element, other) => element instanceof Node && element.contains(other);

/**
 * A dialog, or a popover that closes by itself. Other manual popovers may be shown again by their page as this one is, and two
 * that do so would never end.
 *
 * @param {Event} event
 */
const isMenuOpening = (event) => {
  const { target } = event;
  return Reflect.get(event, "newState") === "open" && target instanceof HTMLElement && target.popover !== "manual" && target.tagName !== "DETAILS";
};

/** A menu of buttons under the button that opens it, for the mouse and for arrow keys. */

export class Menu {
  #opener;
  #menu;

  /**
   * @param {HTMLElement} opener  its `popovertarget` is the menu
   * @param {HTMLElement} menu  a popover whose children are buttons
   */
  constructor(opener, menu) {
    this.#opener = opener;
    this.#menu = menu;
    menu.addEventListener("beforetoggle", () => this.#place());
    menu.addEventListener("toggle", (event) => {
      if (/** @type {ToggleEvent} */ (event).newState === "open") this.items[0]?.focus();
    });
    menu.addEventListener("keydown", (event) => this.#moveFocus(event));
    menu.addEventListener("click", () => menu.hidePopover());
  }

  get items() {
    return /** @type {HTMLElement[]} */ ([...this.#menu.children]);
  }

  /** The menu is in the top layer, where nothing of the page anchors it. */
  #place() {
    const { bottom, right } = this.#opener.getBoundingClientRect();
    this.#menu.style.setProperty("--top", `${bottom + 4}px`);
    this.#menu.style.setProperty("--end", `${document.documentElement.clientWidth - right}px`);
  }

  /** @param {KeyboardEvent} event */
  #moveFocus(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const { items } = this;
    const focused = items.findIndex((item) => item === document.activeElement);
    items.at((focused + step) % items.length)?.focus();
  }
}

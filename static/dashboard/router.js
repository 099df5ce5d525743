/**
 * The views of the dashboard, and which of them the address shows.
 *
 * @import { CallFeed } from "../feed/call-feed.js"
 * @import { Service, ServiceError } from "../lib/service.js"
 * @import { TableContext } from "./call-table.js"
 */

/**
 * @typedef {object} ViewContext  What a view works with, for as long as one viewer uses the page.
 * @property {CallFeed} feed
 * @property {Service} service
 * @property {AbortSignal} signal  aborted when the view is unmounted; its requests and listeners take it
 * @property {() => TableContext} tableContext
 * @property {EventTarget} settings  sends `change` when the table context did
 * @property {(sentence: string | null, retry?: () => void) => void} showError
 * @property {() => void} onAccepted  the service answered this viewer
 * @property {(error: ServiceError) => void} onDenied  the service refused this viewer
 * @property {() => void} retry  connects and reads again at once
 *
 * @typedef {object} View  One tab of the dashboard, for one viewer.
 * @property {(root: HTMLElement, context: ViewContext) => void} mount  once, before all else; reads what is needed also while hidden
 * @property {() => void} show  each time its tab is selected
 * @property {() => void} unmount  takes away what this viewer saw; the next viewer gets a view of their own
 *
 * @typedef {object} Route
 * @property {HTMLElement} root  hidden while another view is shown
 * @property {HTMLElement} link
 * @property {() => View} create
 */

/**
 * The name of the view for an address such as `#history`; the first one for an address that names none.
 *
 * @param {string} hash
 * @param {string[]} names
 */
export function routeOf(hash, names) {
  const name = hash.replace(/^#/, "");
  return names.includes(name) ? name : names[0];
}

export class Router {
  #routes;
  /** @type {Map<string, View>} */
  #views = new Map();
  #mounted = new AbortController();

  /** @param {Record<string, Route>} routes  the first one is the default */
  constructor(routes) {
    this.#routes = routes;
  }

  get isMounted() {
    return this.#views.size > 0;
  }

  /**
   * Mounts new views, which find the one of this address visible and the others hidden.
   *
   * @param {string} hash
   * @param {Omit<ViewContext, "signal">} context
   */
  mount(hash, context) {
    this.unmount();
    this.show(hash);
    const { signal } = (this.#mounted = new AbortController());
    for (const [name, { root, create }] of Object.entries(this.#routes)) {
      const view = create();
      this.#views.set(name, view);
      view.mount(root, { ...context, signal });
    }
  }

  unmount() {
    this.#mounted.abort();
    for (const view of this.#views.values()) view.unmount();
    this.#views.clear();
  }

  /** @param {string} hash  of the address */
  show(hash) {
    const shown = routeOf(hash, Object.keys(this.#routes));
    for (const [name, { root, link }] of Object.entries(this.#routes)) {
      root.hidden = name !== shown;
      if (name === shown) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.#views.get(shown)?.show();
  }
}

"use client";
/**
 * Loads the element from the service, so that its version is the service's own. As a script element and not by `import()`, which
 * bundlers rewrite.
 */

const NAME = "call-popup";
/** The element's `interfaceVersion` that this package is written for. */
const INTERFACE_VERSION = 1;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

/**
 * Scripts that are being loaded, by the address of the service's script.
 *
 * @type {Map<string, Promise<void>>}
 */
const loading = new Map();
/** @type {Set<string>} */
const warnings = new Set();

/**
 * Resolves to the class of the element, or to nothing once the signal is aborted. While the service does not answer, its script is
 * requested again.
 *
 * @param {string} src  base URL of the service
 * @param {AbortSignal} signal
 * @returns {Promise<typeof import("./element.js").CallPopup | undefined>}
 */
export async function loadElement(src, signal) {
  const address = new URL("call-popup.js", new URL(src.replace(/\/?$/, "/"), document.baseURI)).href;
  for (let wait = FIRST_WAIT_MS; !signal.aborted; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    if (!customElements.get(NAME)) await load(address);
    const known = customElements.get(NAME);
    if (known) return checked(known, address);
    warn(`${address} could not be loaded and is requested again. Does the service answer, and does script-src of this page allow it?`);
    await later(wait, signal);
  }
}

/**
 * Resolves when the script ran, and when it could not be loaded.
 *
 * @param {string} address
 */
function load(address) {
  const running = loading.get(address);
  if (running) return running;
  const script = document.createElement("script");
  script.type = "module";
  // A browser remembers that an address could not be loaded.
  script.src = warnings.size ? `${address}?again=${Date.now()}` : address;
  const loaded = new Promise((resolve) => {
    script.onload = script.onerror = () => resolve();
  }).then(() => {
    script.remove();
    loading.delete(address);
  });
  loading.set(address, loaded);
  document.head.append(script);
  return loaded;
}

function checked(element, address) {
  if (element.interfaceVersion !== INTERFACE_VERSION) {
    warn(`The element of ${address} has interface version ${element.interfaceVersion ?? 0}, this package is for ${INTERFACE_VERSION}. Update the older one.`);
  }
  return element;
}

/** Once each. */
function warn(message) {
  if (warnings.has(message)) return;
  warnings.add(message);
  console.warn(`@caller-popup/react: ${message}`);
}

const later = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });

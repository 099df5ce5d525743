/**
 * The popup's cards begin below the header of the page, which has another row on a narrow screen.
 *
 * @import { CallPopup } from "../widget/call-popup.js"
 */

const GAP = 16;

/**
 * @param {HTMLElement} header  at the top of the page
 * @param {CallPopup} popup
 */
export function keepBelow(header, popup) {
  const observer = new ResizeObserver(() => {
    popup.offset = popup.position.startsWith("bottom") ? GAP : Math.round(header.offsetHeight) + GAP;
  });
  observer.observe(header);
}

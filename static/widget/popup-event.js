/**
 * An event of the element, for the page.
 *
 * @param {string} type
 * @param {object} detail
 * @param {boolean} cancelable
 */
export const popupEvent = (type, detail, cancelable) => new CustomEvent(type, { detail, bubbles: true, composed: true, cancelable });

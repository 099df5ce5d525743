/**
 * Is this the shortcut, such as `Alt+Shift+C`? Pure.
 *
 * The key's place on the keyboard counts as well, because Alt+Shift turns a C into another letter on many keyboards.
 *
 * @param {string} shortcut
 * @param {KeyboardEvent} event
 */
export function matchesShortcut(shortcut, event) {
  const keys = shortcut.toLowerCase().split("+").map((key) => key.trim());
  const key = keys.pop();
  const wanted = (/** @type {string[]} */ ...names) => names.some((name) => keys.includes(name));
  return Boolean(key)
    && (event.key?.toLowerCase() === key || event.code?.toLowerCase() === `key${key}`)
    && event.altKey === wanted("alt", "option")
    && event.shiftKey === wanted("shift")
    && event.ctrlKey === wanted("ctrl", "control")
    && event.metaKey === wanted("meta", "cmd", "command");
}

/**
 * The rows of a table of calls, from what the stream says and what was read over HTTP. Pure.
 *
 * @import { Call } from "./call.js"
 */
import { isOnScreen, isShown, newestFirst } from "./call.js";

/**
 * The rows of an "active now" table, newest first.
 *
 * The stream says nothing more about calls this viewer dismissed, so those come from `read` until it is read again;
 * `silent` says that there are such rows.
 *
 * @param {Call[]} followed  the calls of the feed
 * @param {Call[]} read  the last answer of active-calls
 */
export function activeRows(followed, read) {
  const live = followed.filter(isShown);
  const known = (/** @type {Call} */ call) => followed.some((other) => other.id === call.id && supersedes(other, call));
  const others = read.filter((call) => isOnScreen(call) && !known(call));
  return { rows: newestFirst([...live, ...others]), silent: others.length > 0 };
}

/**
 * The newest calls that ended: those read over HTTP, and on top of them what the stream saw end since.
 *
 * @param {Call[]} followed  the calls of the feed
 * @param {Call[]} read  the last answer of the call history
 * @param {number} limit
 */
export function recentRows(followed, read, limit) {
  const ended = followed.filter((call) => call.status === "ended");
  const byId = new Map([...read, ...ended].map((call) => [call.id, call]));
  return newestFirst([...byId.values()]).slice(0, limit);
}

/**
 * Is the stream's last word on a call newer than what was read? One that waits in a queue may ring again since.
 *
 * @param {Call} followed
 * @param {Call} read
 */
function supersedes(followed, read) {
  if (followed.status === "setup") return followed.rev >= read.rev;
  return followed.status === "ended" || !followed.dismissed;
}

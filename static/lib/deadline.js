/**
 * A deadline for what may never end, such as a request on a connection that is dead.
 */

/**
 * What `run` resolves to, or a rejection after `ms` or when `outer` is aborted; the signal that `run` gets is aborted then.
 *
 * @template T
 * @param {number} ms
 * @param {(signal: AbortSignal) => Promise<T>} run
 * @param {AbortSignal | null} [outer]
 * @returns {Promise<T>}
 */
export function withDeadline(ms, run, outer) {
  const controller = new AbortController();
  const { signal } = controller;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const ended = new Promise((_, reject) => {
    const end = (/** @type {any} */ reason) => {
      controller.abort(reason);
      reject(reason);
    };
    timer = setTimeout(() => end(new DOMException(`No answer within ${ms} ms.`, "TimeoutError")), ms);
    if (outer?.aborted) return end(outer.reason);
    outer?.addEventListener("abort", () => end(outer.reason), { once: true, signal });
  });
  // Aborting what has ended does no harm, and removes the listener.
  return Promise.race([run(signal), ended]).finally(() => {
    clearTimeout(timer);
    controller.abort();
  });
}

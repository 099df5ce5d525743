/**
 * The service's HTTP interface, as the dashboard uses it. Answers are parsed JSON; failures are a `ServiceError` whose message is a
 * sentence for a person and whose `status` is the HTTP status, or 0 when there was no answer at all.
 *
 * Paths are relative to the folder above this file, so the service works under a path prefix too.
 */
export class ServiceError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }

  /** The viewer has to sign in, or may not read this. */
  get denied() {
    return this.status === 401 || this.status === 403;
  }
}

/** The base URL of the service, with a slash at its end. */
export const base = new URL("..", import.meta.url).href;

/** `await get("api/ringcentral/config")` */
export const get = (path) => request(path, {});

/** `await post("api/simulator/calls", { scenario: "direct" })` */
export const post = (path, body) =>
  request(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** `await remove("api/auth/session")` */
export const remove = (path) => request(path, { method: "DELETE" });

/** Readiness. A service that is not ready answers 503 with the same body, which is what we came for. */
export const readiness = () => request("health/ready", {}, (status) => status === 200 || status === 503);

const isFine = (status) => status >= 200 && status < 300;

async function request(path, options, accepts = isFine) {
  let answer;
  try {
    answer = await fetch(new URL(path, base), { cache: "no-store", ...options });
  } catch {
    throw new ServiceError("The service does not answer.", 0);
  }
  const body = await answer.json().catch(() => null);
  if (accepts(answer.status) && (body || answer.status === 204)) return body;
  throw new ServiceError(body?.error?.message ?? `The service answered ${answer.status}.`, answer.status);
}

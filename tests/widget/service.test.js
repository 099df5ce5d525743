/** The HTTP client: what is asked, and the one kind of error. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Service, ServiceError, base } from "../../static/lib/service.js";

const SRC = "https://calls.example.com/prefix/";

/** A service whose answer is made by `answer`, and its requests. */
function serviceWith(answer) {
  const requests = [];
  const service = new Service(SRC, async (url, options) => {
    requests.push([url, options]);
    return answer();
  });
  return { service, requests };
}

const json = (status, body) => () => new Response(JSON.stringify(body), { status });
const failure = (promise) => promise.then(() => assert.fail("it succeeded"), (error) => error);
const errorOf = (answer) => failure(serviceWith(answer).service.get("api/x"));

test("paths are relative to the base, and answers are never taken from the cache", async () => {
  const { service, requests } = serviceWith(json(200, { fine: true }));
  assert.deepEqual(await service.get("api/x?y=1"), { fine: true });
  assert.deepEqual(requests.map(([url, { cache }]) => [url, cache]), [[`${SRC}api/x?y=1`, "no-store"]]);
  assert.ok(new Service().src === base && base.endsWith("/static/"));
});

test("a body is sent as JSON, and a request without one has no content type", async () => {
  const { service, requests } = serviceWith(json(200, {}));
  await service.post("api/x", { a: 1 });
  await service.post("api/x", undefined, { keepalive: true });
  await service.remove("api/x");
  const sent = requests.map(([, { method, headers, body, keepalive }]) => [method, headers, body, keepalive]);
  assert.deepEqual(sent, [
    ["POST", { "Content-Type": "application/json" }, '{"a":1}', undefined],
    ["POST", undefined, undefined, true],
    ["DELETE", undefined, undefined, undefined],
  ]);
});

test("an error of the service has its sentence, status and code", async () => {
  const error = await errorOf(json(409, { error: { code: "conflict", message: "It was changed meanwhile." } }));
  assert.ok(error instanceof ServiceError);
  assert.deepEqual([error.message, error.status, error.code], ["It was changed meanwhile.", 409, "conflict"]);
});

test("no answer at all is status 0", async () => {
  const error = await errorOf(() => {
    throw new TypeError("network");
  });
  assert.deepEqual([error.message, error.status, error.code], ["The service does not answer.", 0, null]);
});

test("an answer that is not the service's is an error, whatever its status", async () => {
  for (const status of [200, 404, 502]) {
    const error = await errorOf(() => new Response("<h1>a proxy</h1>", { status }));
    assert.deepEqual([error.message, error.status], [`The service answered ${status}.`, status]);
  }
});

test("an answer without a body is one where that is meant", async () => {
  assert.equal(await serviceWith(() => new Response(null, { status: 204 })).service.remove("api/x"), null);
});

test("errors say what can be done: sign in, try later, or nothing", async () => {
  const kinds = { 0: "temporary", 400: "", 401: "denied", 403: "denied", 404: "", 409: "", 429: "temporary", 500: "temporary", 503: "temporary" };
  for (const [status, kind] of Object.entries(kinds)) {
    const error = new ServiceError("A sentence.", Number(status));
    assert.deepEqual([error.denied, error.temporary], [kind === "denied", kind === "temporary"], status);
  }
});

test("a service that is not ready answers, and does not fail", async () => {
  const unready = { ready: false, reasons: ["The database does not answer."] };
  assert.deepEqual(await serviceWith(json(503, unready)).service.readiness(), unready);
  assert.equal((await failure(serviceWith(json(500, {})).service.readiness())).status, 500);
});

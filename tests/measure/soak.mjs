/**
 * Whether the service stays as it is under a steady load: calls that ring and end, RATE webhooks a second for MINUTES, with VIEWERS
 * open streams. Prints what answers there were, how long they took, and the resident memory minute by minute with its slope
 * from the fifth minute on. On SQLite, or on MongoDB where MONGODB_TEST_URI is set.
 *
 *   MINUTES=20 RATE=500 VIEWERS=20 node tests/measure/soak.mjs
 */
import http from "node:http";
import { readFileSync } from "node:fs";
import { Stage, percentile } from "./stage.mjs";

const MINUTES = Number(process.env.MINUTES ?? 20);
const RATE = Number(process.env.RATE ?? 500);
const VIEWERS = Number(process.env.VIEWERS ?? 20);
/** How long a call lasts. Each is two webhooks. */
const CALL_S = 5;
/** Minutes in which caches and pools fill. */
const WARM_UP = Math.min(5, Math.floor(MINUTES / 4));
/** The webhooks of one turn. */
const TURN_MS = 20;

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const answers = new Map();
let times = [];

/** @param {number} port @param {object} body */
function post(port, body) {
  const text = JSON.stringify({ event: "/restapi/v1.0/account/~/extension/101/presence", timestamp: new Date().toISOString(), body });
  const began = performance.now();
  return new Promise((done) => {
    const count = (status) => {
      answers.set(status, (answers.get(status) ?? 0) + 1);
      times.push(performance.now() - began);
      done(status);
    };
    const request = http.request({ port, agent, method: "POST", path: "/api/webhooks/ringcentral", headers: { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) } }, (answer) => {
      answer.resume();
      answer.on("end", () => count(answer.statusCode));
    });
    request.on("error", (error) => count(error.code));
    request.end(text);
  });
}

const telephony = (number, telephonyStatus) => ({
  telephonyStatus,
  sessionId: `soak-${number}`,
  direction: "Inbound",
  from: { phoneNumber: `+1416555${String(number % 10_000).padStart(4, "0")}`, name: `Caller ${number % 10_000}` },
  to: { phoneNumber: "+15879876543" },
});

/** @param {number} pid */
const residentMiB = (pid) => Number(readFileSync(`/proc/${pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1]) / 1024;

/** The slope of the line through these points, least squares. */
function slope(values) {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const over = values.reduce((sum, value, at) => sum + (at - middle) * (value - mean), 0);
  return over / values.reduce((sum, _, at) => sum + (at - middle) ** 2, 0);
}

const stage = new Stage();
try {
  const uri = process.env.MONGODB_TEST_URI;
  const mongodb = uri ? { MONGODB_URI: uri, MONGODB_DATABASE: `caller_popup_soak_${process.pid}` } : {};
  const port = await stage.service({ ...mongodb, LOG: "warn,caller_popup=info" });
  const pid = stage.pid;
  for (let viewer = 0; viewer < VIEWERS; viewer += 1) {
    http.get({ port, path: "/api/ringcentral/call-stream", agent: false }, (answer) => answer.resume()).on("error", () => {});
  }
  const began = performance.now();
  const memory = [residentMiB(pid)];
  const waiting = new Set();
  let calls = 0;
  for (let turn = 1; performance.now() - began < MINUTES * 60_000; turn += 1) {
    for (const due = (turn * TURN_MS * RATE) / 2_000; calls < due; calls += 1) {
      const ended = calls - (CALL_S * RATE) / 2;
      const posts = [post(port, telephony(calls, "Ringing")), ...(ended < 0 ? [] : [post(port, telephony(ended, "NoCall"))])];
      for (const one of posts) waiting.add(one.finally(() => waiting.delete(one)));
    }
    if (performance.now() - began >= memory.length * 60_000) {
      memory.push(residentMiB(pid));
      const at = (share) => percentile(times, share).toFixed(1);
      console.log(`minute ${memory.length - 1}: ${memory.at(-1).toFixed(1)} MiB, webhooks p50 ${at(0.5)} p99 ${at(0.99)} longest ${at(1)} ms`);
      times = [];
    }
    await new Promise((next) => setTimeout(next, began + turn * TURN_MS - performance.now()));
  }
  await Promise.all(waiting);
  console.log(`${uri ? "MongoDB" : "SQLite"}: ${[...answers].map(([status, count]) => `${count} × ${status}`).join(", ")}`);
  console.log(`memory from minute ${WARM_UP} on: ${slope(memory.slice(WARM_UP)).toFixed(2)} MiB a minute`);
} finally {
  agent.destroy();
  await stage.close();
}

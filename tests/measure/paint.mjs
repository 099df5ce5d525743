/**
 * From the webhook to a card that is painted in a page of another site, one call after the other. Prints p50 and p99.
 *
 *   CALLS=200 node tests/measure/paint.mjs
 *
 * WIDGET is a folder with another version's front end to measure instead, such as one of `git worktree add`: …/static.
 */
import { readFile } from "node:fs/promises";
import { join, normalize } from "node:path";
import { Stage, percentile, settingsFor, token } from "./stage.mjs";

const CALLS = Number(process.env.CALLS ?? 200);
const { WIDGET } = process.env;

const page = (service) => `<!doctype html><title>Host</title>
<script type="module" src="${WIDGET ? "" : service}/call-popup.js"></script><call-popup src="${service}/" auto-dismiss="0"></call-popup>
<script type="module">
  const popup = document.querySelector("call-popup");
  popup.token = ${JSON.stringify(token())};
  await customElements.whenDefined("call-popup");
  /** When the frame after the next card is on the screen, as the clock on the wall says. */
  window.painted = [];
  const known = new WeakSet();
  new MutationObserver(() => {
    for (const card of popup.shadowRoot.querySelectorAll("[part~=card]")) {
      if (known.has(card)) continue;
      known.add(card);
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => window.painted.push(performance.timeOrigin + performance.now());
        port2.postMessage(null);
      });
    }
  }).observe(popup.shadowRoot, { childList: true, subtree: true });
</script>`;

const stage = new Stage();
try {
  let service = "";
  const host = await stage.site(async ({ url }, response) => {
    if (url === "/") return response.setHeader("Content-Type", "text/html").end(page(service));
    const file = WIDGET && (await readFile(join(WIDGET, normalize(new URL(url, "http://host").pathname))).catch(() => null));
    response.setHeader("Content-Type", "text/javascript").writeHead(file ? 200 : 404).end(file || "");
  });
  const origin = `http://localhost:${host}`;
  service = `http://127.0.0.1:${await stage.service(settingsFor(origin))}`;
  const browser = await stage.browser();
  await browser.go(origin);
  const until = (condition) => browser.run(`while (!(${condition})) await new Promise(requestAnimationFrame);`);
  await until("document.querySelector('call-popup').feed?.status?.state === 'live'");
  const tell = async (session, telephonyStatus) => {
    const body = { telephonyStatus, sessionId: session, from: { phoneNumber: "+14165551234", name: "Test Caller" }, to: { phoneNumber: "+15879876543" }, direction: "Inbound" };
    const notification = { event: "/restapi/v1.0/account/~/extension/~/presence", body };
    const sentAt = performance.timeOrigin + performance.now();
    await fetch(`${service}/api/webhooks/ringcentral`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(notification) });
    return sentAt;
  };
  const times = [];
  for (let n = 0; n < CALLS; n += 1) {
    const sentAt = await tell(`call-${n}`, "Ringing");
    await until(`window.painted.length > ${n}`);
    times.push((await browser.run(`return window.painted[${n}]`)) - sentAt);
    await browser.run("document.querySelector('call-popup').shadowRoot.querySelectorAll('[part~=card]:not(.leaving) [part~=dismiss]').forEach((button) => button.click())");
    await tell(`call-${n}`, "Disconnected");
  }
  console.log(`webhook to painted, ${CALLS} calls: p50 ${percentile(times, 0.5).toFixed(1)} ms, p99 ${percentile(times, 0.99).toFixed(1)} ms, most ${Math.max(...times).toFixed(1)} ms`);
} finally {
  await stage.close();
}

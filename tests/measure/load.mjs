/**
 * How long a page of another site waits until calls arrive, over a connection of a given round-trip time, HTTP/1.1 without TLS.
 * Prints the median of some first visits, with the token of a host application and without any (local mode).
 *
 *   RTT=400 RUNS=5 node tests/measure/load.mjs
 */
import { Stage, percentile, settingsFor, token } from "./stage.mjs";

const RTT = Number(process.env.RTT ?? 400);
const RUNS = Number(process.env.RUNS ?? 5);
const PAGE = (service, jwt) => `<!doctype html><title>Host</title><script type="module" src="${service}/call-popup.js"></script><call-popup></call-popup>
<script>
  const popup = document.querySelector("call-popup");
  if (${JSON.stringify(jwt)}) popup.token = ${JSON.stringify(jwt)};
  window.live = new Promise((isLive) => popup.addEventListener("call-popup:status", ({ detail }) => detail.state === "live" && isLive(performance.now())));
</script>`;

const stage = new Stage();
try {
  const browser = await stage.browser();
  for (const withToken of [false, true]) {
    let service = "";
    const host = await stage.site((request, response) => response.setHeader("Content-Type", "text/html").end(PAGE(service, withToken ? token() : null)));
    const origin = `http://localhost:${host}`;
    const port = await stage.service(withToken ? settingsFor(origin) : { ALLOWED_ORIGINS: origin });
    service = `http://127.0.0.1:${await stage.distance(port, RTT)}`;
    const times = [];
    let requests = [];
    for (let run = 0; run < RUNS; run += 1) {
      await browser.go("about:blank");
      await browser.devtools("Network.clearBrowserCache");
      await browser.go(origin);
      times.push(await browser.run("return await window.live"));
      requests = await browser.run("return performance.getEntriesByType('resource').map(({ name, startTime, responseEnd }) => [new URL(name).pathname, Math.round(startTime), Math.round(responseEnd)])");
    }
    const median = percentile(times, 0.5);
    const allowed = 2.2 * RTT + 150;
    console.log(`${withToken ? "with a token   " : "without a token"}  live after ${median.toFixed(0)} ms = ${(median / RTT).toFixed(2)} round trips of ${RTT} ms (aim ${allowed.toFixed(0)} ms), ${requests.length} requests`);
    for (const [path, start, end] of requests) console.log(`    ${path}  ${start} to ${end || "…"} ms`);
  }
} finally {
  await stage.close();
}

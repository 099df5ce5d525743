/** The token endpoints of examples/ make what the service accepts. Needs python3 and php beside node. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { createServer } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const SECRET = "0123456789abcdef0123456789abcdef";
const file = (name) => fileURLToPath(new URL(`../../examples/token-endpoint/${name}`, import.meta.url));
const PROGRAMS = {
  node: () => [process.execPath, file("server.mjs")],
  python: () => ["python3", file("server.py")],
  php: (port) => ["php", "-S", `127.0.0.1:${port}`, file("server.php")],
};

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Asks until the program listens. */
async function answerOf(url, child) {
  let failure = null;
  child.once("error", (error) => (failure = error));
  while (child.exitCode === null && !failure) {
    const answer = await fetch(url).catch(() => null);
    if (answer) return answer;
    await new Promise((later) => setTimeout(later, 20));
  }
  throw failure ?? new Error(`it ended with ${child.exitCode}`);
}

for (const [name, command] of Object.entries(PROGRAMS)) {
  test(`the token endpoint in ${name}`, async () => {
    const port = await freePort();
    const [program, ...rest] = command(port);
    const child = spawn(program, rest, { env: { ...process.env, JWT_SECRET: SECRET, PORT: String(port) }, stdio: "ignore" });
    try {
      const answer = await answerOf(`http://127.0.0.1:${port}/my/call-token`, child);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      const [header, claims, seal] = (await answer.text()).split(".");
      const read = (part) => JSON.parse(Buffer.from(part, "base64url").toString());
      assert.deepEqual(read(header), { alg: "HS256", typ: "JWT" });
      assert.equal(seal, createHmac("sha256", SECRET).update(`${header}.${claims}`).digest("base64url"));
      const { exp, ...others } = read(claims);
      assert.deepEqual(others, { sub: "dana", extension_ids: ["101"] });
      assert.ok(Math.abs(exp - Date.now() / 1000 - 600) < 30, `exp is in seconds: ${exp}`);
      assert.equal((await fetch(`http://127.0.0.1:${port}/other`)).status, 404);
    } finally {
      child.kill();
    }
  });
}

// Answers GET /my/call-token with a token for the person who is signed in. Node 18 or newer, nothing to install.
//
//   JWT_SECRET=… PORT=3000 node server.mjs
import { createHmac } from "node:crypto";
import { createServer } from "node:http";

const SECRET = process.env.JWT_SECRET; // The service's JWT_SECRET.

/** @param {{ id: string, extension: string }} person */
function callToken(person) {
  const claims = {
    sub: person.id, // A text, the same each time.
    extension_ids: [person.extension], // Or role: "admin", who sees every call.
    exp: Math.floor(Date.now() / 1000) + 600, // In seconds, not milliseconds.
  };
  const part = (json) => Buffer.from(JSON.stringify(json)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

createServer((request, response) => {
  // Whoever your session says; answer 401 where nobody is signed in.
  const person = request.url === "/my/call-token" && { id: "dana", extension: "101" };
  if (!person) return response.writeHead(404).end();
  response.writeHead(200, { "Content-Type": "text/plain", "Cache-Control": "no-store" }).end(callToken(person));
}).listen(Number(process.env.PORT ?? 3000), "127.0.0.1");

import { SignJWT } from "jose";
import { currentPerson } from "@/lib/session";
import { key } from "@/lib/settings";

/** A token for the popup of the person who is signed in. The service checks it with the same JWT_SECRET. */
export async function GET() {
  const person = await currentPerson();
  if (!person) return new Response("Nobody is signed in.", { status: 401 });
  const rights = person.extensionIds.length ? { extension_ids: person.extensionIds } : { role: "admin" };
  const token = await new SignJWT(rights)
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(person.id)
    .setExpirationTime("10m")
    .sign(key("JWT_SECRET"));
  return new Response(token, { headers: { "Content-Type": "text/plain", "Cache-Control": "no-store" } });
}

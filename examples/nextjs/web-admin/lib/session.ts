import "server-only";
import { SignJWT, jwtVerify } from "jose";
import { cookies } from "next/headers";
import { createHash, timingSafeEqual } from "node:crypto";
import { key, setting } from "./settings";

export interface Person {
  id: string;
  /** RingCentral's ids of the person's extensions; none for an admin. */
  extensionIds: string[];
}

const COOKIE = "session";
const HOURS = 12;

/** Your own sign-in goes here. */
export function personWith(name: string, password: string): Person | null {
  const isSame = (given: string, expected: string) => timingSafeEqual(digest(given), digest(expected));
  const known = [isSame(name, setting("DEMO_USER")), isSame(password, setting("DEMO_PASSWORD"))];
  if (known.includes(false)) return null;
  return { id: name, extensionIds: (process.env.DEMO_EXTENSION_IDS ?? "").split(/[\s,]+/).filter(Boolean) };
}

const digest = (text: string) => createHash("sha256").update(text).digest();

export async function startSession(person: Person) {
  const token = await new SignJWT({ extensionIds: person.extensionIds })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(person.id)
    .setExpirationTime(`${HOURS}h`)
    .sign(key("SESSION_SECRET"));
  (await cookies()).set(COOKIE, token, { httpOnly: true, sameSite: "lax", path: "/", maxAge: HOURS * 3600 });
}

export async function endSession() {
  (await cookies()).delete(COOKIE);
}

/** Who is signed in, or null. */
export async function currentPerson(): Promise<Person | null> {
  const token = (await cookies()).get(COOKIE)?.value;
  if (!token) return null;
  try {
    const { payload } = await jwtVerify<{ extensionIds: string[] }>(token, key("SESSION_SECRET"), { algorithms: ["HS256"] });
    return payload.sub ? { id: payload.sub, extensionIds: payload.extensionIds } : null;
  } catch {
    return null;
  }
}

/** The sentences of the sign-in: the service's own where it says more than "no". */
import assert from "node:assert/strict";
import { test } from "node:test";
import { reasonOf, refusalOf } from "../../static/dashboard/sign-in.js";

const NO_RIGHTS = { status: 403, code: "no_rights", message: "This token is valid, but says neither \"role\":\"admin\" nor whose \"extension_ids\"." };
const EXPIRED = { status: 401, code: "expired", message: "Your sign-in has ended. Sign in again to see calls." };
const UNKNOWN = { status: 401, code: "unauthorized", message: "Sign in, or send a valid token, to see calls." };

test("a token that was refused is answered with the service's sentence", () => {
  assert.equal(refusalOf(NO_RIGHTS), NO_RIGHTS.message);
  assert.equal(refusalOf(EXPIRED), EXPIRED.message);
  assert.match(refusalOf(UNKNOWN), /not accepted/);
  assert.equal(refusalOf({ status: 0, code: null, message: "The service does not answer." }), "The service does not answer.");
});

test("a viewer who has to sign in reads why, when there is a why", () => {
  assert.equal(reasonOf(NO_RIGHTS, false), NO_RIGHTS.message);
  assert.equal(reasonOf(EXPIRED, false), EXPIRED.message);
  assert.equal(reasonOf(UNKNOWN, false), null, "nobody was signed in");
  assert.match(reasonOf(UNKNOWN, true), /has ended/);
  assert.match(reasonOf(undefined, true), /has ended/);
});

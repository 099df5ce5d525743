/**
 * What a viewer sees who may not see calls: why, and the two ways in.
 */
import { post } from "../lib/service.js";

/** Why a sign-in with RingCentral led back here without anyone signed in: `?error=` and its sentence. */
const REASONS = {
  sign_in_off: "Signing in with RingCentral is not set up here. Ask your administrator for an access token.",
  sign_in_stale: "This sign-in took too long or began in another window. Try again.",
  sign_in_refused: "RingCentral did not confirm who you are. Try again.",
  sign_in_other_account: "You signed in to another RingCentral account. Sign in with the one whose calls are shown here.",
  sign_in_failed: "RingCentral could not be asked who you are. Try again in a minute.",
};

export class SignIn {
  #panel = document.getElementById("sign-in");
  #title = document.getElementById("sign-in-title");
  #reason = document.getElementById("sign-in-reason");
  #usual = this.#reason.textContent;
  #form = this.#panel.querySelector("form");

  /** `onDone` runs when the viewer is in. */
  constructor(onDone) {
    this.#explain();
    this.#form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await post("api/auth/session", { token: this.#form.elements.token.value.trim() });
        this.#form.reset();
        onDone();
      } catch (error) {
        this.#reason.textContent = error.denied ? "This token was not accepted. Check that it is whole and not expired." : error.message;
      }
    });
  }

  #explain() {
    const { origin, pathname, search, hash } = location;
    const reason = REASONS[new URLSearchParams(search).get("error")];
    if (!reason) return;
    this.#reason.textContent = reason;
    history.replaceState(null, "", origin + pathname + hash);
  }

  get asks() {
    return !this.#panel.hidden;
  }

  /** Takes the place of the calls. `error` is the service's refusal, when it said more than "no". */
  ask(error) {
    if (error?.status === 403) this.#reason.textContent = error.message;
    this.#panel.hidden = false;
    document.body.classList.add("signed-out");
  }

  /** After a sign-out: the focus was on a button that is no more. */
  confirm() {
    this.#reason.textContent = "You are signed out.";
    this.#title.focus();
  }

  done() {
    this.#reason.textContent = this.#usual;
    this.#panel.hidden = true;
    document.body.classList.remove("signed-out");
  }
}

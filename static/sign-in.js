/**
 * What a viewer sees who may not see calls: why, and the two ways in.
 */
import { post } from "./service.js";

export class SignIn {
  #panel = document.getElementById("sign-in");
  #reason = document.getElementById("sign-in-reason");
  #form = this.#panel.querySelector("form");

  /** `onDone` runs when the viewer is in. */
  constructor(onDone) {
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

  /** Takes the place of the calls. `error` is the service's refusal, when it said more than "no". */
  ask(error) {
    if (error?.status === 403) this.#reason.textContent = error.message;
    this.#panel.hidden = false;
    document.body.classList.add("signed-out");
  }

  done() {
    this.#panel.hidden = true;
    document.body.classList.remove("signed-out");
  }
}

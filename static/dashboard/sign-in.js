/**
 * What a viewer sees who may not see calls: why, and the two ways to sign in.
 *
 * @import { Service, ServiceError } from "../lib/service.js"
 */
import { find } from "../lib/dom.js";

/**
 * Why a sign-in with RingCentral came back here without a session: `?error=` and its sentence.
 *
 * @type {Record<string, string>}
 */
const REASONS = {
  sign_in_off: "Signing in with RingCentral is not set up here. Ask your administrator for an access token.",
  sign_in_stale: "This sign-in took too long or began in another window. Try again.",
  sign_in_refused: "RingCentral did not confirm who you are. Try again.",
  sign_in_other_account: "You signed in to another RingCentral account. Sign in with the one whose calls are shown here.",
  sign_in_failed: "RingCentral could not be asked who you are. Try again in a minute.",
};

export class SignIn {
  #panel;
  #title;
  #reason;
  #defaultReason;

  /**
   * @param {HTMLElement} panel
   * @param {Service} service
   * @param {() => void} onSignedIn
   */
  constructor(panel, service, onSignedIn) {
    this.#panel = panel;
    this.#title = find(panel, "#sign-in-title", HTMLElement);
    this.#reason = find(panel, "#sign-in-reason", HTMLElement);
    this.#defaultReason = this.#reason.textContent;
    this.#showReasonOfAddress();
    const form = find(panel, "form", HTMLFormElement);
    const token = find(form, "#token", HTMLInputElement);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await service.post("api/auth/session", { token: token.value.trim() });
        form.reset();
        onSignedIn();
      } catch (reason) {
        const error = /** @type {ServiceError} */ (reason);
        this.#reason.textContent = error.denied ? "This token was not accepted. Check that it is whole and not expired." : error.message;
      }
    });
  }

  #showReasonOfAddress() {
    const { origin, pathname, search, hash } = location;
    const reason = REASONS[new URLSearchParams(search).get("error") ?? ""];
    if (!reason) return;
    this.#reason.textContent = reason;
    history.replaceState(null, "", origin + pathname + hash);
  }

  get isShown() {
    return !this.#panel.hidden;
  }

  /**
   * Takes the place of the calls.
   *
   * @param {ServiceError} [error]  the service's refusal, when it said more than "no"
   */
  show(error) {
    if (error?.status === 403) this.#reason.textContent = error.message;
    this.#panel.hidden = false;
    document.body.classList.add("signed-out");
  }

  /** After a sign-out: the focus was on a button that is no more. */
  confirmSignOut() {
    this.#reason.textContent = "You are signed out.";
    this.#title.focus();
  }

  hide() {
    this.#reason.textContent = this.#defaultReason;
    this.#panel.hidden = true;
    document.body.classList.remove("signed-out");
  }
}

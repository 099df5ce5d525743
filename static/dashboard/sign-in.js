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

/** The service's code for a request without a proof, or with one it does not know; the reason is not its to say. */
const UNKNOWN = "unauthorized";

/**
 * What is said of a token that was refused: the service's own sentence where that says more than "no".
 *
 * @param {Pick<ServiceError, "status" | "code" | "message">} error
 */
export function refusalOf({ status, code, message }) {
  return status === 401 && code === UNKNOWN ? "This token was not accepted. Check that it is whole." : message;
}

/**
 * What is said to a viewer who has to sign in; null where the page's own words say as much.
 *
 * @param {{ code: string | null, message: string | null } | undefined} error
 * @param {boolean} hadAccess  this page showed them calls before
 */
export function reasonOf(error, hadAccess) {
  if (error && error.code !== UNKNOWN) return error.message;
  return hadAccess ? "Your sign-in has ended. Sign in again to see calls." : null;
}

export class SignIn {
  #panel;
  #service;
  #title;
  #reason;
  #defaultReason;
  #withRingCentral;
  #tokenLabel;
  #knowsMethods = false;

  /**
   * @param {HTMLElement} panel
   * @param {Service} service
   * @param {() => void} onSignedIn
   */
  constructor(panel, service, onSignedIn) {
    this.#panel = panel;
    this.#service = service;
    this.#withRingCentral = find(panel, "#sign-in-ringcentral", HTMLElement);
    this.#tokenLabel = find(panel, "label", HTMLElement);
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
        this.#reason.textContent = refusalOf(/** @type {ServiceError} */ (reason));
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
   * @param {{ code: string | null, message: string | null }} [error]  the service's refusal
   * @param {boolean} hadAccess  this page showed them calls before
   */
  show(error, hadAccess = false) {
    const reason = reasonOf(error, hadAccess);
    if (reason) this.#reason.textContent = reason;
    this.#panel.hidden = false;
    document.body.classList.add("signed-out");
    this.#offerMethods();
  }

  /** The button is for a service that knows RingCentral; without an answer it stays away, and the token's field is there. */
  async #offerMethods() {
    if (this.#knowsMethods) return;
    const methods = await this.#service.get("api/auth/methods").catch(() => null);
    if (!methods) return;
    this.#knowsMethods = true;
    this.#withRingCentral.hidden = !methods.ringcentral;
    this.#tokenLabel.textContent = methods.ringcentral ? "Or paste an access token from your administrator" : "Paste an access token from your administrator";
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

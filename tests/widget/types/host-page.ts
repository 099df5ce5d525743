/** A page that embeds the widget, as its compiler sees it: the declarations hold what the README promises. Only checked, never run. */
import { CallPopup, type Call, type CallFeed, type Feed, type Token } from "../../../static/call-popup.js";
import type { Token as ImplementedToken } from "../../../static/feed/credential.js";
import type { Call as ImplementedCall } from "../../../static/model/call.js";
import { CallPopup as Implementation } from "../../../static/widget/call-popup.js";

const popup: CallPopup = document.createElement("call-popup");
popup.token = "a.b.c";
popup.token = async () => (navigator.onLine ? "a.b.c" : null);
popup.autoDismiss = 0;
popup.offset = 72;
popup.addEventListener("call-popup:view", (event) => {
  event.preventDefault();
  const name: string | null | undefined = event.detail.customer?.name;
  const call: Call = event.detail.call;
  document.title = name ?? call.id;
});
popup.addEventListener("click", (event) => event.clientX);

class OwnFeed extends EventTarget implements Feed {
  calls: Call[] = [];
  now = () => Date.now();
  dismiss = (id: string) => this.calls.filter((call) => call.id !== id);
}
popup.feed = new OwnFeed();

// @ts-expect-error A number is no token.
popup.token = 42;

/** The declarations and the module agree, in both directions. */
type Public = keyof Omit<CallPopup, "addEventListener">;
export const declared: Pick<CallPopup, Public> = new Implementation();
export const implemented: Pick<Implementation, Public> = popup;
export const feed: CallFeed = Implementation.createFeed("/");
export const declaredStatics: Pick<typeof CallPopup, "interfaceVersion" | "createFeed" | "observedAttributes"> = Implementation;
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
export const sameCall: Call extends ImplementedCall ? (ImplementedCall extends Call ? true : false) : false = true;
export const sameFields: Same<keyof Call, keyof ImplementedCall> = true;
export const sameToken: Same<Token, ImplementedToken> = true;

/** Types of @caller-popup/react. The element's own are in element.d.ts, a copy of the service's call-popup.d.ts. */
import type { ForwardRefExoticComponent, RefAttributes } from "react";
import type { Call, CallPopup as CallPopupElement, CallPopupEventMap, PopupStatus, Token } from "./element.js";
import type { CallPopupAttributes } from "./jsx.js";

export type { Call, CallPopupElement, PopupStatus, Token };
export type { CallResult, CallStatus, Customer } from "./element.js";

export interface CallPopupProps extends Omit<CallPopupAttributes, "auto-dismiss" | "customer-url" | "status-pill" | "extension" | "class"> {
  /** Base URL of the service, such as `https://popup.example.com`. */
  src: string;
  /** A JWT of your application for the person who is signed in, or a function that returns one. Not needed on the service's own site. */
  token?: Token;
  /** Seconds until a card folds into the pill; 0 for never. */
  autoDismiss?: number;
  /** Where *View customer* goes; `{id}` is the customer's id. */
  customerUrl?: string;
  /** `off` hides the notice that calls are not arriving. */
  statusPill?: "on" | "off";
  /** The viewer's own extension ids. */
  extension?: string | string[];
  className?: string;
  /** Before the link to the customer is followed; `event.preventDefault()` to go there with a router. */
  onView?: (event: CallPopupEventMap["call-popup:view"]) => void;
  onDismiss?: (event: CallPopupEventMap["call-popup:dismiss"]) => void;
  /** Whether calls arrive. */
  onStatus?: (event: CallPopupEventMap["call-popup:status"]) => void;
  /** Before a customer is created from a card, by a service that has this; cancelable. */
  onCreate?: (event: CustomEvent<{ call: Call }>) => void;
  /** A person dials a number, by a service that has this. */
  onDial?: (event: CustomEvent<{ number: string }>) => void;
}

/** Who is calling, in a corner of the page. */
export declare const CallPopup: ForwardRefExoticComponent<CallPopupProps & RefAttributes<CallPopupElement>>;

export interface UseCallsOptions {
  /** Base URL of the service. */
  src: string;
  /** As the popup's. Components with the same `src` share one feed, with the token that was given last. */
  token?: Token;
}

export interface UsedCalls {
  /** The calls that ring or go on, newest first, without those that this person dismissed. */
  calls: readonly Call[];
  /** Whether calls arrive. */
  status: { readonly state: PopupStatus["state"]; readonly message: string | null };
  /** Dismisses a call for this person, on all of their tabs and devices. Resolves to whether the service took it. */
  dismiss: (id: string) => Promise<boolean>;
  /**
   * Asks the service to dial. `ringout` rings the person's own phone first; `link` is for `location.href`. A service that cannot dial
   * leaves it to the telephone app of this device (`tel`).
   */
  dial: (number: string) => Promise<{ via: "ringout"; session_id: string } | { via: "app" | "tel"; link: string }>;
}

/** The calls without cards, for pages that show them in their own way. */
export declare function useCalls(options: UseCallsOptions): UsedCalls;

/** Types of `<call-popup>` for pages and frameworks that embed it; what everything means is in widget/call-popup.js. */

export type CallStatus = "setup" | "ringing" | "connected" | "on_hold" | "parked" | "voicemail" | "ended";
export type CallResult = "answered" | "missed" | "voicemail" | "rejected" | "abandoned";

/** A customer that matches the other party's number. */
export interface Customer {
  id?: string | null;
  name?: string | null;
  email?: string | null;
}

/** The service's Call object; /api.html says what each field means. */
export interface Call {
  id: string;
  session_id?: string | null;
  from_number?: string | null;
  from_display?: string | null;
  from_name?: string | null;
  to_number?: string | null;
  to_display?: string | null;
  to_name?: string | null;
  queue?: string | null;
  direction?: string | null;
  status: CallStatus;
  result?: CallResult | null;
  timestamp: string;
  answered_at?: string | null;
  ended_at?: string | null;
  answered_by?: { extension_id: string; name?: string | null } | null;
  customer_id?: string | null;
  customer_name?: string | null;
  customer_email?: string | null;
  customers?: Customer[];
  match?: string | null;
  rev: number;
  /** This viewer closed it, here or on another device. */
  dismissed?: boolean;
}

export type MaybeToken = string | null | undefined;
/** A JWT of the host application, or a function that returns one. */
export type Token = MaybeToken | (() => MaybeToken | Promise<MaybeToken>);

/** Whether calls arrive, and a sentence for a person. */
export interface PopupStatus {
  /** `denied`: the token or the sign-in; `blocked`: the page's Content-Security-Policy. */
  state: "connecting" | "live" | "polling" | "reconnecting" | "denied" | "blocked";
  message: string;
}

/** Where the calls come from. */
export interface Feed extends EventTarget {
  /** Newest first; replaced before each `change` event, never changed in place. */
  readonly calls: Call[];
  /** The service's clock, in epoch milliseconds. */
  now(): number;
  /** This viewer dismisses a call. */
  dismiss(id: string): unknown;
  /** Optional; replaced before a `statuschange` or `change` event. */
  readonly status?: { state: string; message?: string | null };
}

/** The service's own feed: the calls of this viewer, from one stream for all tabs. */
export interface CallFeed extends Feed {
  /** As the popup's. */
  token: Token;
  readonly status: { readonly state: PopupStatus["state"]; readonly message: string | null };
  /** Requests to the service as this viewer; a refusal rejects with an error that has `status`, `code` and `message`. */
  readonly service: {
    get(path: string): Promise<any>;
    post(path: string, body?: object): Promise<any>;
  };
  /** Resolves to whether the service took it. */
  dismiss(id: string): Promise<boolean>;
  /** Starts following; sends `change` after that, and `statuschange` when the state or the message did. */
  open(): void;
  close(): void;
}

export interface CallPopupEventMap {
  /** Cancelable; before the link to the customer is followed. */
  "call-popup:view": CustomEvent<{ call: Call; customer: Customer | null }>;
  "call-popup:dismiss": CustomEvent<{ call: Call }>;
  "call-popup:status": CustomEvent<PopupStatus>;
}

/** Where there is no DOM this class can be imported, but not constructed. */
export class CallPopup extends HTMLElement {
  static readonly observedAttributes: string[];
  /** A new number is an incompatible interface. */
  static readonly interfaceVersion: number;
  /** The calls without cards, for pages that show them in their own way. */
  static createFeed(src: string): CallFeed;
  /** Base URL of the service. */
  src: string;
  /** `top-right`, `top-left`, `bottom-right` or `bottom-left`. */
  position: string;
  /** Pixels between the cards and that edge. */
  offset: string | number;
  /** Seconds until a card folds into the pill, while the page is visible; 0 for never. */
  autoDismiss: number;
  /** Where "View customer" goes; `{id}` is the customer's id. */
  customerUrl: string;
  /** Keys that go to the newest card or open the pill; empty for none. */
  shortcut: string;
  /** The viewer's own extension ids, separated by spaces. */
  extension: string;
  /** `light`, `dark` or `system`; empty for the page's own color-scheme. */
  theme: string;
  /** `off` hides the notice that calls are not arriving. */
  statusPill: string;
  /** Whether calls arrive. */
  readonly status: PopupStatus;
  /** On a page of another site: a JWT of the host application, or a function that returns one. */
  token: Token;
  /** The popup's own feed on `src`, unless another is set. */
  feed: Feed | null;

  addEventListener<K extends keyof CallPopupEventMap>(
    type: K,
    listener: (this: CallPopup, event: CallPopupEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener<K extends keyof HTMLElementEventMap>(
    type: K,
    listener: (this: CallPopup, event: HTMLElementEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "call-popup": CallPopup;
  }
}

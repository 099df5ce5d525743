"use client";
/**
 * `<CallPopup>`: the service's `<call-popup>` element as a React component.
 *
 * React sets no property and no listener of a custom element while it hydrates a page of the server (react#35446), and React 18
 * never does. So both are set in layout effects here: after the element is in the document, and before it connects.
 */
import { createElement, forwardRef, useEffect, useImperativeHandle, useLayoutEffect, useRef, useState } from "react";
import { loadElement } from "./load.js";

/** The element's events and the props that listen to them. A service that has no such event never sends it. */
const EVENTS = {
  "call-popup:view": "onView",
  "call-popup:dismiss": "onDismiss",
  "call-popup:status": "onStatus",
  "call-popup:create": "onCreate",
  "call-popup:dial": "onDial",
};

/** Effects do not run on a server, and React 18 warns about layout effects there. */
const useEarlyEffect = typeof document === "undefined" ? useEffect : useLayoutEffect;

export const CallPopup = forwardRef(function CallPopup(props, ref) {
  const { src, token } = props;
  /** @type {import("react").RefObject<import("./element.js").CallPopup>} */
  const element = useRef(null);
  const latest = useRef(props);
  useEarlyEffect(() => {
    latest.current = props;
  });

  // Another function is another way to get a token of the same person: the element keeps its stream and calls the newest one.
  const [readToken] = useState(() => () => {
    const { token: newest } = latest.current;
    return typeof newest === "function" ? newest() : newest;
  });
  const given = typeof token === "function" ? readToken : (token ?? null);
  useEarlyEffect(() => {
    element.current.token = given;
  }, [given]);

  useEarlyEffect(() => {
    const listening = new AbortController();
    for (const [type, prop] of Object.entries(EVENTS)) {
      element.current.addEventListener(type, (event) => latest.current[prop]?.(event), { signal: listening.signal });
    }
    return () => listening.abort();
  }, []);

  useEffect(() => {
    const wanted = new AbortController();
    loadElement(src, wanted.signal);
    return () => wanted.abort();
  }, [src]);

  useImperativeHandle(ref, () => element.current, []);
  return createElement("call-popup", { ref: element, suppressHydrationWarning: true, ...attributesOf(props) });
});

/**
 * The same on a server and in a browser.
 *
 * @param {import("./index.js").CallPopupProps} props
 */
function attributesOf({ token, autoDismiss, customerUrl, statusPill, extension, className, ...others }) {
  for (const prop of Object.values(EVENTS)) delete others[prop];
  const attributes = {
    ...others,
    class: className,
    "auto-dismiss": autoDismiss,
    "customer-url": customerUrl,
    "status-pill": statusPill,
    extension: Array.isArray(extension) ? extension.join(" ") : extension,
  };
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}

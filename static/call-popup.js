/** The widget's public address; see widget/call-popup.js. */
export * from "./widget/call-popup.js";

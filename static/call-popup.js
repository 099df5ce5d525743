/**
 * The widget's public address; widget/call-popup.js says what it is. The service sends it joined with all it imports, so that a
 * page of another site has the widget after one round trip.
 */
export * from "./widget/call-popup.js";

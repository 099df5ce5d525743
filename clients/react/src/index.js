"use client";
export { CallPopup } from "./call-popup.js";
export { useCalls } from "./use-calls.js";

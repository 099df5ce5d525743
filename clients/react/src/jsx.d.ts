/** `<call-popup>` in plain JSX: `import type {} from "@caller-popup/react/jsx"`. */
import type { DetailedHTMLProps, HTMLAttributes } from "react";
import type { CallPopup } from "./element.js";

/** The element's attributes. Its property `token` is not among them: React does not set it while it hydrates a page of the server. */
export interface CallPopupAttributes extends Omit<HTMLAttributes<CallPopup>, "className"> {
  src?: string;
  position?: "top-right" | "top-left" | "bottom-right" | "bottom-left";
  offset?: number | string;
  "auto-dismiss"?: number | string;
  "customer-url"?: string;
  shortcut?: string;
  extension?: string;
  theme?: "light" | "dark" | "system";
  "status-pill"?: "on" | "off";
  class?: string;
}

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "call-popup": DetailedHTMLProps<CallPopupAttributes, CallPopup>;
    }
  }
}

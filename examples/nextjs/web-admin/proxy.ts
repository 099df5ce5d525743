import { NextResponse, type NextRequest } from "next/server";

/** The Content-Security-Policy of every page. Next.js puts the nonce on its own scripts; the popup needs the two lines with the service. */
export default function proxy(request: NextRequest) {
  const nonce = btoa(crypto.randomUUID());
  const service = new URL(process.env.CALLER_POPUP_URL ?? "").origin;
  const isDevelopment = process.env.NODE_ENV === "development";
  const policy = [
    "default-src 'self'",
    `script-src 'self' 'nonce-${nonce}' ${service}${isDevelopment ? " 'unsafe-eval'" : ""}`,
    `connect-src 'self' ${service}`,
    `style-src 'self' ${isDevelopment ? "'unsafe-inline'" : `'nonce-${nonce}'`}`,
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join("; ");
  const headers = new Headers(request.headers);
  headers.set("Content-Security-Policy", policy);
  const response = NextResponse.next({ request: { headers } });
  response.headers.set("Content-Security-Policy", policy);
  return response;
}

export const config = {
  matcher: [{ source: "/((?!api|_next/static|_next/image|favicon.ico).*)" }],
};

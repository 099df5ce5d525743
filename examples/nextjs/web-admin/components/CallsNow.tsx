"use client";
import { useCalls } from "@caller-popup/react";
import { callToken } from "@/lib/call-token";

/** What `useCalls()` is for: the same calls, shown by the dashboard itself. */
export default function CallsNow({ service }: { service: string }) {
  const { calls, status } = useCalls({ src: service, token: callToken });
  const ringing = calls.filter((call) => call.status === "ringing").length;
  return (
    <output className="calls" data-state={status.state}>
      {status.state === "live" || status.state === "polling" ? `${ringing} ringing` : "Connecting…"}
    </output>
  );
}

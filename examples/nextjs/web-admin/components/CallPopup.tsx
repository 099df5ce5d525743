"use client";
import { CallPopup as Popup, type CallPopupProps } from "@caller-popup/react";
import { useRouter } from "next/navigation";

/** The popup's token, from the server of this dashboard. Null says that nobody is signed in any more; an error, that it may work later. */
export async function callToken() {
  const answer = await fetch("/api/call-token", { cache: "no-store" });
  if (answer.status === 401) return null;
  if (!answer.ok) throw new Error(`The call token answered ${answer.status}.`);
  return answer.text();
}

export default function CallPopup({ service }: { service: string }) {
  const router = useRouter();
  const view: CallPopupProps["onView"] = (event) => {
    const { call, customer } = event.detail;
    const id = customer?.id ?? call.customer_id;
    if (!id) return;
    event.preventDefault();
    router.push(`/customers/${encodeURIComponent(id)}`);
  };
  return <Popup src={service} token={callToken} onView={view} offset={72} />;
}

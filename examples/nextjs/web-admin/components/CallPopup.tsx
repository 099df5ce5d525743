"use client";
import { CallPopup as Popup, type CallPopupProps } from "@caller-popup/react";
import { useRouter } from "next/navigation";
import { callToken } from "@/lib/call-token";

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

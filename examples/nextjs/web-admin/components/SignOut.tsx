"use client";
import { useEffect } from "react";
import { signOut } from "@/app/actions";

const CHANNEL = "signed out";

/** Signs out, in the other tabs too: their popup is for nobody then. */
export default function SignOut() {
  useEffect(() => {
    const channel = new BroadcastChannel(CHANNEL);
    channel.onmessage = () => location.assign("/login");
    return () => channel.close();
  }, []);
  const leave = async () => {
    try {
      await signOut();
    } finally {
      const channel = new BroadcastChannel(CHANNEL);
      channel.postMessage(null);
      channel.close();
    }
  };
  return (
    <form action={leave}>
      <button>Sign out</button>
    </form>
  );
}

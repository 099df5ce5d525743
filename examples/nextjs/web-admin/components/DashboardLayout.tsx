import Link from "next/link";
import type { ReactNode } from "react";
import CallPopup from "./CallPopup";
import CallsNow from "./CallsNow";
import SignOut from "./SignOut";

/** The frame of every page of a person who is signed in. It stays while pages change, and the popup with it. */
export default function DashboardLayout(props: { person: string; service: string; children: ReactNode }) {
  return (
    <>
      <header>
        <strong>Web admin</strong>
        <nav>
          <Link href="/">Overview</Link>
          <Link href="/customers">Customers</Link>
        </nav>
        <CallsNow service={props.service} />
        <span>{props.person}</span>
        <SignOut />
      </header>
      <main>{props.children}</main>
      {/* Another person gets another popup. */}
      <CallPopup key={props.person} service={props.service} />
    </>
  );
}

import { CallPopup, useCalls } from "@caller-popup/react";
import Head from "next/head";
import Link from "next/link";
import { useRouter } from "next/router";
import { useState } from "react";

const token = async () => {
  const answer = await fetch("/api/call-token");
  return answer.ok ? answer.text() : null;
};

function CallsNow({ service }) {
  const { calls, status } = useCalls({ src: service, token });
  return <output data-state={status.state}>{calls.length} ringing</output>;
}

/** A dashboard of the pages router: what is outside of `Component` stays while pages change. */
export default function App({ Component, pageProps: { service, ...props } }) {
  const [isSignedIn, setSignedIn] = useState(true);
  const router = useRouter();
  const view = (event) => {
    event.preventDefault();
    router.push(`/customers/${event.detail.call.customer_id}`);
  };
  return (
    <>
      <Head>
        <link rel="icon" href="data:," />
      </Head>
      <nav>
        <Link href="/">Overview</Link> <Link href="/customers">Customers</Link>
        <button onClick={() => setSignedIn(false)}>Sign out</button>
      </nav>
      {isSignedIn && <CallsNow service={service} />}
      <Component {...props} />
      {isSignedIn && <CallPopup src={service} token={token} onView={view} />}
    </>
  );
}

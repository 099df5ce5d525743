/** The dashboard of a host, as its compiler sees it. Only checked, never run. */
import { CallPopup, useCalls, type Call, type CallPopupElement, type CallPopupProps } from "@caller-popup/react";
import { useRef } from "react";

const service: Pick<CallPopupProps, "src" | "token"> = { src: "https://popup.example.com", token: async () => "a.b.c" };

export function Dashboard() {
  const element = useRef<CallPopupElement>(null);
  const { calls, status, dismiss, dial } = useCalls(service);
  const ringing: readonly Call[] = calls.filter((call) => call.status === "ringing");
  const redial = async (number: string) => {
    const answer = await dial(number);
    if (answer.via === "ringout") return answer.session_id;
    location.href = answer.link;
  };
  return (
    <>
      <p data-state={status.state}>{status.message}</p>
      <button onClick={() => dismiss(ringing[0].id).then((taken: boolean) => taken)}>Dismiss</button>
      <button onClick={() => redial("+14165551234")}>Dial</button>
      <CallPopup
        {...service}
        ref={element}
        position="bottom-left"
        offset={72}
        autoDismiss={0}
        customerUrl="/customers/{id}"
        extension={["101"]}
        statusPill="off"
        theme="dark"
        className="calls"
        style={{ zIndex: 1 }}
        onView={(event) => {
          event.preventDefault();
          document.title = event.detail.customer?.name ?? event.detail.call.id;
        }}
        onDismiss={({ detail }) => detail.call.session_id}
        onStatus={({ detail }) => element.current?.status.state === detail.state}
        onCreate={({ detail }) => detail.call}
        onDial={({ detail }) => detail.number}
      />
      <call-popup src="/" position="top-left" auto-dismiss={10} ref={element} class="calls" />
    </>
  );
}

export const wrong = [
  // @ts-expect-error The service's address is needed.
  <CallPopup token="a.b.c" />,
  // @ts-expect-error A number is no token.
  <CallPopup src="/" token={42} />,
  // @ts-expect-error There is no such corner.
  <CallPopup src="/" position="middle" />,
  // @ts-expect-error There is no such status.
  <CallPopup src="/" onStatus={({ detail }) => detail.state === "dead"} />,
  // @ts-expect-error React does not set it while it hydrates.
  <call-popup token={() => "a.b.c"} />,
];

/** A page of a host that the tests change from outside, by `window.change()`. */
import { CallPopup, useCalls } from "@caller-popup/react";
import { useEffect, useState } from "react";

export function App({ src, start }) {
  const [state, setState] = useState({ popup: true, calls: 0, person: "dana", ...start });
  const [renders, setRenders] = useState(0);
  useEffect(() => {
    window.change = (changes) => setState((before) => ({ ...before, ...changes }));
    window.renderAgain = () => setRenders((count) => count + 1);
    window.events ??= [];
    window.renders = renders;
  });
  // A function of its own in every render.
  const token = async () => {
    window.tokens = (window.tokens ?? 0) + 1;
    return (await fetch(`/token?${state.person}`)).text();
  };
  const note = (name) => (event) => window.events.push([name, renders, event.detail.call?.session_id ?? event.detail.state ?? event.detail.number]);
  const inPlace = (name) => (event) => {
    event.preventDefault();
    note(name)(event);
  };
  return (
    <>
      {state.popup && (
        <CallPopup
          key={state.person}
          src={src}
          token={token}
          position={state.position}
          customerUrl={state.customerUrl}
          extension={["101", "102"]}
          className="calls"
          onView={inPlace("view")}
          onDismiss={note("dismiss")}
          onStatus={note("status")}
          onCreate={inPlace("create")}
          onDial={note("dial")}
        />
      )}
      {Array.from({ length: state.calls }, (_, at) => (
        <Calls key={at} src={src} token={token} />
      ))}
    </>
  );
}

function Calls(service) {
  const { calls, status, dismiss, dial } = useCalls(service);
  useEffect(() => {
    Object.assign(window, { dismiss, dial });
  });
  return (
    <p className="own" data-state={status.state}>
      {calls.map((call) => call.session_id).join(" ")}
    </p>
  );
}

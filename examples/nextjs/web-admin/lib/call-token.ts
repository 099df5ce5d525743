/**
 * The popup's token, from the server of this dashboard. Null says that nobody is signed in any more; an error, that it may work later.
 *
 * In a file of its own, because a file that exports anything beside components reloads the page when it is edited under `next dev`.
 */
export async function callToken() {
  const answer = await fetch("/api/call-token", { cache: "no-store" });
  if (answer.status === 401) return null;
  if (!answer.ok) throw new Error(`The call token answered ${answer.status}.`);
  return answer.text();
}

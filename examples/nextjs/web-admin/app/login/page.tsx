"use client";
import { useActionState } from "react";
import { signIn } from "../actions";

export default function LoginPage() {
  const [problem, action, isPending] = useActionState(signIn, null);
  return (
    <main className="login">
      <form action={action} className="panel">
        <h1>Sign in</h1>
        <label>
          Name
          <input name="name" autoComplete="username" required />
        </label>
        <label>
          Password
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        {problem && <p role="alert">{problem}</p>}
        <button disabled={isPending}>Sign in</button>
      </form>
    </main>
  );
}

"use server";
import { redirect } from "next/navigation";
import { endSession, personWith, startSession } from "@/lib/session";

export async function signIn(_: string | null, form: FormData): Promise<string | null> {
  const person = personWith(String(form.get("name")), String(form.get("password")));
  if (!person) return "This name and password are not known.";
  await startSession(person);
  redirect("/");
}

export async function signOut() {
  await endSession();
  redirect("/login");
}

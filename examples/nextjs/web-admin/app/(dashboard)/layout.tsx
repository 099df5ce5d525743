import { redirect } from "next/navigation";
import type { ReactNode } from "react";
import DashboardLayout from "@/components/DashboardLayout";
import { currentPerson } from "@/lib/session";
import { setting } from "@/lib/settings";

export default async function Layout({ children }: { children: ReactNode }) {
  const person = await currentPerson();
  if (!person) redirect("/login");
  return (
    <DashboardLayout person={person.id} service={setting("CALLER_POPUP_URL")}>
      {children}
    </DashboardLayout>
  );
}

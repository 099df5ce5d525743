import { notFound } from "next/navigation";
import { findCustomer } from "@/lib/customers";

export default async function CustomerPage({ params }: { params: Promise<{ id: string }> }) {
  const customer = await findCustomer(decodeURIComponent((await params).id));
  if (!customer) notFound();
  return (
    <>
      <h1>{customer.name}</h1>
      <dl className="panel">
        <dt>Phone</dt>
        <dd>{customer.phone ?? "none"}</dd>
        <dt>Email</dt>
        <dd>{customer.email ?? "none"}</dd>
      </dl>
    </>
  );
}

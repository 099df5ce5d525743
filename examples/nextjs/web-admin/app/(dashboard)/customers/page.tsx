import Link from "next/link";
import { listCustomers } from "@/lib/customers";

export default async function Customers() {
  const customers = await listCustomers();
  return (
    <>
      <h1>Customers</h1>
      <table className="panel">
        <thead>
          <tr>
            <th>Name</th>
            <th>Phone</th>
            <th>Email</th>
          </tr>
        </thead>
        <tbody>
          {customers.map(({ id, name, phone, email }) => (
            <tr key={id}>
              <td>
                <Link href={`/customers/${id}`}>{name}</Link>
              </td>
              <td>{phone}</td>
              <td>{email}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

import "server-only";
import { MongoClient, ObjectId, type Filter } from "mongodb";
import inFile from "@/data/customers.json";

export interface Customer {
  id: string;
  name: string;
  email: string | null;
  phone: string | null;
}

interface CustomerDocument {
  _id: ObjectId | string;
  name?: string;
  email?: string;
  phone?: string;
}

const LISTED = 200;

/** One client for the process; a development server evaluates this module again with every change. */
const shared = globalThis as typeof globalThis & { mongo?: MongoClient };

/** The application's own collection, in which the service finds callers; null where no MongoDB is set. */
function collection() {
  const uri = process.env.MONGODB_URI;
  if (!uri) return null;
  shared.mongo ??= new MongoClient(uri);
  const { MONGODB_DATABASE = "caller_popup", CUSTOMERS_COLLECTION = "customers" } = process.env;
  return shared.mongo.db(MONGODB_DATABASE).collection<CustomerDocument>(CUSTOMERS_COLLECTION);
}

const read = ({ _id, name, email, phone }: CustomerDocument): Customer => ({
  id: String(_id),
  name: name ?? "",
  email: email ?? null,
  phone: phone ?? null,
});

export async function listCustomers(): Promise<Customer[]> {
  const documents = await collection()?.find().sort({ name: 1 }).limit(LISTED).toArray();
  return documents?.map(read) ?? inFile;
}

export async function findCustomer(id: string): Promise<Customer | null> {
  const customers = collection();
  if (!customers) return inFile.find((customer) => customer.id === id) ?? null;
  const ids: Filter<CustomerDocument>[] = [{ _id: id }];
  if (ObjectId.isValid(id)) ids.push({ _id: new ObjectId(id) });
  const document = await customers.findOne({ $or: ids });
  return document && read(document);
}

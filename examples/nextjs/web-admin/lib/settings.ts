import "server-only";

/** A setting of the environment; .env.development says what each one means. */
export function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set. web-admin/.env.development says what it means.`);
  return value;
}

export const key = (name: string) => new TextEncoder().encode(setting(name));

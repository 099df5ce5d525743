/** The dashboards as Next.js builds them, each once. As a program it builds all of them. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./support.js";

const FOLDERS = ["../../examples/nextjs", "next15", "pages-router"];
/** What a folder is built of. */
const SOURCES = ["web-admin", "pages", "package.json", "package-lock.json", "node_modules/.installed"];

/** Node's parameters for a command of a folder's own Next.js. */
export function nextOf(folder, command) {
  return [`${folder}/node_modules/next/dist/bin/next`, command, ...(existsSync(`${folder}/web-admin`) ? ["web-admin"] : [])];
}

/** Builds again when a source or an installed package has changed. */
export async function buildOnce(folder) {
  const sum = createHash("sha256");
  for (const path of SOURCES.flatMap((name) => filesOf(join(folder, name)))) sum.update(path).update(readFileSync(path));
  const built = join(folder, "node_modules/.built");
  const digest = sum.digest("hex");
  if (existsSync(built) && readFileSync(built, "utf8") === digest) return;
  await run(process.execPath, nextOf(folder, "build"), { cwd: folder });
  writeFileSync(built, digest);
}

/** The file, or those of the folder that a build did not make. */
function filesOf(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const isMade = /[\\/]\.next(?:[\\/]|$)|next-env\.d\.ts$|tsbuildinfo$/;
  return files.map((entry) => join(entry.parentPath, entry.name)).filter((file) => !isMade.test(file)).sort();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const folder of FOLDERS) await buildOnce(fileURLToPath(new URL(folder, import.meta.url)));
}

/**
 * The API page: /api/openapi.json as something to read. Everything it shows comes from that document, so it has nothing
 * to keep up to date. What is not used by our document (callbacks, links, cookies as parameters) is not drawn.
 */
import { ServiceError, base, get } from "../lib/service.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

const reference = document.getElementById("reference");
const contents = document.getElementById("contents");
const notice = document.getElementById("notice");

function show(api) {
  reference.append(element("section", {}, element("h2", {}, `${api.info.title} ${api.info.version}`), ...prose(api.info.description)));
  const operations = Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, ...item[method] })),
  );
  for (const tag of api.tags) {
    const tagged = operations.filter((operation) => operation.tags?.includes(tag.name));
    if (!tagged.length) continue;
    contents.append(element("h2", {}, capital(tag.name)), ...tagged.map(link));
    reference.append(
      element("section", {}, element("h2", {}, capital(tag.name)), ...prose(tag.description), ...tagged.map(operation)),
    );
  }
  const schemas = Object.entries(api.components.schemas);
  contents.append(element("h2", {}, "Types"), ...schemas.map(([name]) => element("a", { href: `#${name}` }, name)));
  reference.append(element("section", {}, element("h2", {}, "Types"), ...schemas.map(([name, one]) => schema(name, one))));
  // The browser looked for the address's target before there was one.
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

const id = ({ method, path }) => `${method}-${path.replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "")}`;

const link = (one) =>
  element("a", { href: `#${id(one)}`, title: one.summary }, element("code", {}, `${one.method.toUpperCase()} ${one.path}`));

function operation(one) {
  const ways = (one.security ?? []).flatMap((way) => Object.keys(way));
  const parts = [
    element(
      "h3",
      {},
      element("span", { className: "method", dataset: { method: one.method } }, one.method.toUpperCase()),
      element("code", {}, one.path),
      element("span", { className: "who" }, who(ways)),
    ),
    ...prose(one.summary),
    ...prose(one.description),
    element("pre", {}, curl(one, ways)),
  ];
  if (one.parameters?.length) parts.push(element("h4", {}, "Parameters"), list(one.parameters.map(parameter)));
  const body = one.requestBody;
  if (body) parts.push(element("h4", {}, "Body"), list([[type(content(body)), body.required ? "required" : "", body.description ?? ""]]));
  parts.push(element("h4", {}, "Answers"), list(Object.entries(one.responses).map(answer)));
  return element("section", { className: "operation", id: id(one) }, ...parts);
}

const parameter = ({ name, in: place, required, schema, description }) => [
  element("code", {}, name),
  type(schema),
  text([place, required && "required", limits(schema)].filter(Boolean).join(", "), description),
];

const answer = ([status, { description, content: kinds }]) => [
  element("code", {}, status === "default" ? "4xx, 5xx" : status),
  type(content({ content: kinds })),
  text(Object.keys(kinds ?? {}).filter((kind) => kind !== "application/json").join(", "), description),
];

/** The JSON schema of a body, or of whatever it is otherwise. */
const content = ({ content }) => (content?.["application/json"] ?? Object.values(content ?? {})[0])?.schema;

function schema(name, one) {
  const parts = [element("h3", {}, name), ...prose(one.description)];
  if (one.properties) {
    const row = ([field, property]) => [element("code", {}, field), type(property), described(property)];
    parts.push(list(Object.entries(one.properties).map(row)));
  } else {
    parts.push(words(one));
  }
  return element("section", { className: "schema", id: name }, ...parts);
}

/** A closed set of words, each with its meaning where the document tells it. */
function words(one) {
  const known = one.enum?.map((word) => [word]) ?? one.oneOf?.map((word) => [word.enum?.[0] ?? word.const, word.description]) ?? [];
  return list(known.map(([word, meaning]) => [element("code", {}, word), "", meaning ?? ""]));
}

const described = (property) => property.description ?? property.oneOf?.find((one) => one.description)?.description ?? "";

/** What stands in a field: `string or null`, a list, or a link to a type. */
function type(one) {
  if (!one) return "";
  if (one.$ref) {
    const name = one.$ref.split("/").at(-1);
    return element("a", { href: `#${name}` }, name);
  }
  const choices = one.oneOf ?? one.anyOf ?? one.allOf;
  if (choices) return join(choices.map(type));
  if (one.type === "array") return element("span", {}, "list of ", type(one.items));
  const names = [one.type ?? "anything"].flat();
  return names.map((name) => (name === "string" && one.format === "date-time" ? "time" : name)).join(" or ");
}

const join = (parts) => element("span", {}, ...parts.flatMap((part, index) => (index ? [" or ", part] : [part])));

const limits = ({ minimum, maximum, default: usual }) =>
  [minimum !== undefined && `${minimum} to ${maximum}`, usual !== undefined && `${usual} by default`].filter(Boolean).join(", ");

function who(ways) {
  if (!ways.length) return "for everybody";
  return ways.includes("verification") ? "for RingCentral" : "for those who signed in";
}

function curl({ method, path, requestBody }, ways) {
  const words = [path.endsWith("-stream") ? "curl -N" : "curl"];
  if (method !== "get") words.push(`-X ${method.toUpperCase()}`);
  if (ways.includes("token")) words.push('-H "Authorization: Bearer $TOKEN"');
  if (ways.includes("verification")) words.push('-H "Verification-Token: $TOKEN"');
  if (requestBody) words.push("-H 'Content-Type: application/json' -d @body.json");
  return [...words, `'${new URL(path.slice(1), base).href.replaceAll("%7B", "{").replaceAll("%7D", "}")}'`].join(" ");
}

/** Rows of three: a name, a type, what it means. */
const list = (rows) =>
  element("dl", {}, ...rows.map(([name, kind, meaning]) => element("div", {}, element("dt", {}, name), element("dd", {}, kind), element("dd", {}, ...inline(meaning)))));

/** Descriptions use three things of Markdown: paragraphs, lists and code. */
function prose(markdown) {
  const blocks = (markdown ?? "").split(/\n{2,}/).filter(Boolean);
  return blocks.map((block) =>
    block.startsWith("- ")
      ? element("ul", {}, ...block.split(/^- /m).filter(Boolean).map((item) => element("li", {}, ...inline(item))))
      : element("p", {}, ...inline(block)),
  );
}

const inline = (markdown) =>
  String(markdown).split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));

const text = (facts, description) => [description, facts && `(${facts})`].filter(Boolean).join(" ");

const capital = (word) => (word === "ringcentral" ? "RingCentral" : word[0].toUpperCase() + word.slice(1));

function element(name, { dataset, ...properties }, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  Object.assign(made.dataset, dataset);
  made.append(...children);
  return made;
}

// Last, because everything above has to be there.
try {
  show(await get("api/openapi.json"));
} catch (error) {
  notice.textContent = error instanceof ServiceError ? error.message : "The description cannot be shown.";
  notice.hidden = false;
  if (!(error instanceof ServiceError)) throw error;
} finally {
  reference.removeAttribute("aria-busy");
}

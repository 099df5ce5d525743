/**
 * The API page: /api/openapi.json as something to read. Everything it shows comes from that document, so it has nothing
 * to keep up to date. What is not used by our document (callbacks, links, cookies as parameters) is not drawn.
 */
import { el, find } from "../lib/dom.js";
import { Service, ServiceError, base } from "../lib/service.js";

/**
 * @typedef {any} Schema  A JSON schema.
 * @typedef {any} Operation  An operation of the document, with its `method` and `path`.
 * @typedef {[name: Content, kind: Content, meaning: string]} ListRow
 * @typedef {Node | string} Content
 */

const METHODS = ["get", "post", "put", "patch", "delete"];

const reference = find(document, "#reference", HTMLElement);
const contents = find(document, "#contents", HTMLElement);
const notice = find(document, "#notice", HTMLElement);

/** @param {any} api  the OpenAPI document */
function show(api) {
  reference.append(el("section", {}, el("h2", {}, `${api.info.title} ${api.info.version}`), ...prose(api.info.description)));
  const operations = Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, ...item[method] })),
  );
  for (const tag of api.tags) {
    const tagged = operations.filter((operation) => operation.tags?.includes(tag.name));
    if (!tagged.length) continue;
    contents.append(el("h2", {}, capital(tag.name)), ...tagged.map(link));
    reference.append(
      el("section", {}, el("h2", {}, capital(tag.name)), ...prose(tag.description), ...tagged.map(operation)),
    );
  }
  const schemas = Object.entries(api.components.schemas);
  contents.append(el("h2", {}, "Types"), ...schemas.map(([name]) => el("a", { href: `#${name}` }, name)));
  reference.append(el("section", {}, el("h2", {}, "Types"), ...schemas.map(([name, one]) => schema(name, one))));
  // The browser looked for the address's target before there was one.
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

/** @param {Operation} one */
const id = ({ method, path }) => `${method}-${path.replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "")}`;

/** @param {Operation} one */
const link = (one) =>
  el("a", { href: `#${id(one)}`, title: one.summary }, el("code", {}, `${one.method.toUpperCase()} ${one.path}`));

/** @param {Operation} one */
function operation(one) {
  const ways = (one.security ?? []).flatMap((/** @type {object} */ way) => Object.keys(way));
  /** @type {Node[]} */
  const parts = [
    el(
      "h3",
      {},
      el("span", { className: "method", dataset: { method: one.method } }, one.method.toUpperCase()),
      el("code", {}, one.path),
      el("span", { className: "who" }, who(ways)),
    ),
    ...prose(one.summary),
    ...prose(one.description),
    el("pre", {}, curl(one, ways)),
  ];
  if (one.parameters?.length) parts.push(el("h4", {}, "Parameters"), list(one.parameters.map(parameter)));
  const body = one.requestBody;
  if (body) parts.push(el("h4", {}, "Body"), list([[type(content(body)), body.required ? "required" : "", body.description ?? ""]]));
  parts.push(el("h4", {}, "Answers"), list(Object.entries(one.responses).map(answer)));
  return el("section", { className: "operation", id: id(one) }, ...parts);
}

/**
 * @param {any} parameter
 * @returns {ListRow}
 */
const parameter = ({ name, in: place, required, schema, description }) => [
  el("code", {}, name),
  type(schema),
  text([place, required && "required", limits(schema)].filter(Boolean).join(", "), description),
];

/**
 * @param {[string, any]} answer  by status
 * @returns {ListRow}
 */
const answer = ([status, { description, content: kinds }]) => [
  el("code", {}, status === "default" ? "4xx, 5xx" : status),
  type(content({ content: kinds })),
  text(Object.keys(kinds ?? {}).filter((kind) => kind !== "application/json").join(", "), description),
];

/**
 * The JSON schema of a body, or of what else it is.
 *
 * @param {{ content?: Record<string, { schema?: Schema }> }} body
 */
const content = ({ content }) => (content?.["application/json"] ?? Object.values(content ?? {})[0])?.schema;

/**
 * @param {string} name
 * @param {Schema} one
 */
function schema(name, one) {
  /** @type {Node[]} */
  const parts = [el("h3", {}, name), ...prose(one.description)];
  if (one.properties) {
    /** @returns {ListRow} */
    const row = (/** @type {[string, Schema]} */ [field, property]) => [el("code", {}, field), type(property), described(property)];
    parts.push(list(Object.entries(one.properties).map(row)));
  } else {
    parts.push(words(one));
  }
  return el("section", { className: "schema", id: name }, ...parts);
}

/**
 * A closed set of words, each with its meaning where the document has one.
 *
 * @param {Schema} one
 */
function words(one) {
  /** @type {Schema[]} */
  const choices = one.enum?.map((/** @type {string} */ word) => ({ const: word })) ?? one.oneOf ?? [];
  return list(choices.map((choice) => [el("code", {}, choice.enum?.[0] ?? choice.const), "", choice.description ?? ""]));
}

/** @param {Schema} property */
const described = (property) => property.description ?? property.oneOf?.find((/** @type {Schema} */ one) => one.description)?.description ?? "";

/**
 * What a field holds: `string or null`, a list, or a link to a type.
 *
 * @param {Schema} one
 * @returns {Content}
 */
function type(one) {
  if (!one) return "";
  if (one.$ref) {
    const name = one.$ref.split("/").at(-1);
    return el("a", { href: `#${name}` }, name);
  }
  const choices = one.oneOf ?? one.anyOf ?? one.allOf;
  if (choices) return join(choices.map(type));
  if (one.type === "array") return el("span", {}, "list of ", type(one.items));
  const names = [one.type ?? "anything"].flat();
  return names.map((name) => (name === "string" && one.format === "date-time" ? "time" : name)).join(" or ");
}

/** @param {Content[]} parts */
const join = (parts) => el("span", {}, ...parts.flatMap((part, index) => (index ? [" or ", part] : [part])));

/** @param {Schema} schema */
const limits = ({ minimum, maximum, default: usual }) =>
  [minimum !== undefined && `${minimum} to ${maximum}`, usual !== undefined && `${usual} by default`].filter(Boolean).join(", ");

/** @param {string[]} ways  of authentication */
function who(ways) {
  if (!ways.length) return "for everybody";
  return ways.includes("verification") ? "for RingCentral" : "for those who signed in";
}

/**
 * @param {Operation} operation
 * @param {string[]} ways  of authentication
 */
function curl({ method, path, requestBody }, ways) {
  const words = [path.endsWith("-stream") ? "curl -N" : "curl"];
  if (method !== "get") words.push(`-X ${method.toUpperCase()}`);
  const form = requestBody?.content["application/x-www-form-urlencoded"];
  if (form) words.push('--data-urlencode "token=$TOKEN"');
  else if (ways.includes("token")) words.push('-H "Authorization: Bearer $TOKEN"');
  if (ways.includes("verification")) words.push('-H "Verification-Token: $TOKEN"');
  if (requestBody && !form) words.push("-H 'Content-Type: application/json' -d @body.json");
  return [...words, `'${new URL(path.slice(1), base).href.replaceAll("%7B", "{").replaceAll("%7D", "}")}'`].join(" ");
}

/**
 * Rows of three: a name, a type, what it means.
 *
 * @param {ListRow[]} rows
 */
const list = (rows) =>
  el("dl", {}, ...rows.map(([name, kind, meaning]) => el("div", {}, el("dt", {}, name), el("dd", {}, kind), el("dd", {}, ...inline(meaning)))));

/**
 * Descriptions use three things of Markdown: paragraphs, lists and code.
 *
 * @param {string | undefined} markdown
 */
function prose(markdown) {
  const blocks = (markdown ?? "").split(/\n{2,}/).filter(Boolean);
  return blocks.map((block) =>
    block.startsWith("- ")
      ? el("ul", {}, ...block.split(/^- /m).filter(Boolean).map((item) => el("li", {}, ...inline(item))))
      : el("p", {}, ...inline(block)),
  );
}

/** @param {string} markdown */
const inline = (markdown) =>
  String(markdown).split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));

/**
 * @param {string} facts
 * @param {string | undefined} description
 */
const text = (facts, description) => [description, facts && `(${facts})`].filter(Boolean).join(" ");

/** @param {string} word */
const capital = (word) => (word === "ringcentral" ? "RingCentral" : word[0].toUpperCase() + word.slice(1));

// Last, because everything above has to be there.
try {
  show(await new Service().get("api/openapi.json"));
} catch (error) {
  notice.textContent = error instanceof ServiceError ? error.message : "The description cannot be shown.";
  notice.hidden = false;
  if (!(error instanceof ServiceError)) throw error;
} finally {
  reference.removeAttribute("aria-busy");
}

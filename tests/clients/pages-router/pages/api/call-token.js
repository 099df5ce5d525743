/** The test's server makes the tokens. */
export default async function handler(request, response) {
  const token = await fetch(process.env.TOKENS).then((answer) => answer.text());
  response.setHeader("Content-Type", "text/plain").send(token);
}

// ask.mjs [--ready] URL: waits until the node is ready, then asks it one question of each kind; with --ready waits only.
const url = process.argv.at(-1);
const deadline = Date.now() + 60_000;

for (;;) {
  const ready = await fetch(new URL("/readyz", url)).catch(() => undefined);
  if (ready?.ok) break;
  if (Date.now() > deadline) throw new Error(`${url} is not ready after a minute`);
  await new Promise((resolve) => setTimeout(resolve, 100));
}
if (process.argv.includes("--ready")) process.exit(0);

function check(holds, what) {
  if (!holds) throw new Error(what);
}

const page = await fetch(url);
const html = await page.text();
check(page.ok && html.includes("<script"), `the page answers ${page.status}: ${html.slice(0, 200)}`);
check(page.headers.get("cross-origin-opener-policy") === "same-origin", "the page lacks its isolation headers");
console.log(`page: ${html.length} bytes`);

const known = await (await fetch(new URL("/.well-known/neuromesh", url))).json();
check(known.peerId?.startsWith("12D3KooW") && known.addresses?.length > 0, `well-known: ${JSON.stringify(known)}`);
console.log(`node: ${known.peerId}, ${known.addresses[0]}`);

async function run(model, input) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(new URL("/v1/run", url), { method: "POST", headers, body: JSON.stringify({ model, input }) });
  const text = await response.text();
  check(response.ok, `${model}: HTTP ${response.status}: ${text.slice(0, 500)}`);
  const { route, output } = JSON.parse(text);
  console.log(`${model}: answered by ${route.tier} in ${route.elapsedMs} ms: ${JSON.stringify(output).slice(0, 100)}…`);
  return JSON.stringify(output);
}

check((await run("all-minilm-l6-v2", { text: "the mesh walks" })).includes("embedding"), "MiniLM gave no embedding");
const source = Buffer.from("fn main() {\n    println!(\"{}\", 1 + 1);\n}\n".repeat(30));
check((await run("magika", { bytesBase64: source.toString("base64") })).includes("rust"), "Magika does not see Rust");

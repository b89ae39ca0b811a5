// A static server on loopback with the headers that give a page precise clocks.
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".json": "application/json",
};

/**
 * Serves folders by prefix: `{ "/ort/": "node_modules/…" }`; a browser may keep what it got if `cached`. Returns the origin and
 * how to stop it.
 */
export async function serve(folders, { cached = false } = {}) {
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length);
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
    const prefix = prefixes.find((candidate) => path.startsWith(candidate));
    const file = prefix && join(folders[prefix], path.slice(prefix.length));
    let size;
    try {
      const status = statSync(file);
      size = status.isFile() ? status.size : undefined;
    } catch {}
    if (size === undefined) return response.writeHead(404).end();
    response.writeHead(200, {
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "content-length": size,
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
      "cache-control": cached ? "public, max-age=31536000, immutable" : "no-store",
    });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

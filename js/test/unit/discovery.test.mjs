import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { Discovery, addressesIn, discover, parseNodes, pick } from "../../dist/discovery.js";

test("nodes are sorted into addresses and servers", () => {
  const { addresses, servers } = parseNodes(["/ip4/127.0.0.1/tcp/1/ws", "https://a.example/path"], "http://page");
  assert.deepEqual(addresses, ["/ip4/127.0.0.1/tcp/1/ws"]);
  assert.equal(servers[0].hostname, "a.example");
  assert.equal(parseNodes(undefined, "http://page").servers[0].host, "page");
  assert.deepEqual(parseNodes([], "http://page"), { addresses: [], servers: [] });
  for (const wrong of ["x", [""], [7], ["ftp://a"], ["nonsense"], Array(33).fill("http://a")]) {
    assert.throws(() => parseNodes(wrong), { name: "InvalidInput" });
  }
});

test("only addresses that a page can dial are taken", () => {
  const ws = "/ip4/127.0.0.1/tcp/1/ws/p2p/12D3";
  const wss = "/dns4/a.example/tcp/443/wss/p2p/12D3";
  const tls = "/dns4/a.example/tcp/443/tls/ws/p2p/12D3";
  const direct = "/ip4/1.2.3.4/udp/1/webrtc-direct/certhash/uEiA/p2p/12D3";
  const answer = { addresses: [direct, ws, wss, tls, ws, "/ip4/1.2.3.4/udp/1/webrtc-direct", "/ip4/127.0.0.1/tcp/2", "/ip4/1.2.3.4/udp/1/quic-v1", 7, null] };
  assert.deepEqual(addressesIn(answer, false), [ws, wss, tls, direct]);
  assert.deepEqual(addressesIn(answer, true), [wss, tls, direct]);
  for (const wrong of [null, 7, {}, { addresses: "x" }]) assert.deepEqual(addressesIn(wrong, false), []);
  assert.equal(addressesIn({ addresses: Array.from({ length: 99 }, (_, i) => `/ip4/1.1.1.${i}/tcp/1/ws`) }, false).length, 16);
});

test("one address of each peer is dialed, another at the next attempt", () => {
  const addresses = ["/dns4/h/tcp/1/ws/p2p/A", "/ip4/127.0.0.1/tcp/1/ws/p2p/A", "/ip4/10.0.0.1/tcp/2/ws/p2p/B"];
  assert.deepEqual(pick(addresses, 0), [addresses[0], addresses[2]]);
  assert.deepEqual(pick(addresses, 1), [addresses[1], addresses[2]]);
  assert.deepEqual(pick(addresses, 2), pick(addresses, 0));
  assert.deepEqual(pick([], 0), []);
});

async function serve(handler) {
  const server = createServer(handler).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return { url: new URL(`http://127.0.0.1:${server.address().port}`), close: () => server.close() };
}

test("a server is asked until it answers, and no more once connected", async () => {
  let asked = 0;
  const { url, close } = await serve((_request, response) => {
    asked += 1;
    if (asked === 1) response.writeHead(503).end();
    else response.end(JSON.stringify({ addresses: ["/ip4/127.0.0.1/tcp/9/ws"] }));
  });
  const found = new Promise((resolve) => {
    const discovery = new Discovery([url], (address) => {
      discovery.setConnected(true);
      discovery.stop();
      resolve(address);
    });
    void discovery.ask();
  });
  assert.equal(await found, "/ip4/127.0.0.1/tcp/9/ws");
  assert.equal(asked, 2);
  close();
});

test("answers that are none are errors, not addresses", async () => {
  for (const body of ["<html>", "x".repeat(70_000)]) {
    const { url, close } = await serve((_request, response) => response.end(body));
    await assert.rejects(discover(url, new AbortController().signal));
    close();
  }
});

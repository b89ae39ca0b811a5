// Peers without manners, tabs that sleep, a network that goes away: a tab stays within its bounds, and every fault ends in an error
// with a name or in a connection made anew.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { barePage } from "../harness/bare-page.mjs";
import { PRECISE, watch } from "../harness/bounds.mjs";
import { launch, openPage, until } from "../harness/browser.mjs";
import { TestNode } from "../harness/node.mjs";
import { BackgroundTab, network, ownNetwork, suspend } from "../harness/outage.mjs";
import { ours, streams } from "../harness/streams.mjs";

const ECHO = "/echo/1";
const DEAF = "/deaf/1";
const MIB = 1 << 20;
/** How long a tab is frozen, and another one's process stopped: longer than any of WebRTC's own limits. */
const ASLEEP_MS = 60_000;

describe("a tab among faults", { timeout: 280_000 }, () => {
  let bare, node, browsers, us, friend, frozen, stopped, hostile, asleepSince, wake, cutOff, givenUp;

  const open = async (browser) => {
    const page = await openPage(await browser.newContext());
    await page.addInitScript(watch);
    await page.goto(node.url);
    return page;
  };
  const join = async (page, room) => {
    await page.waitForFunction(() => window.neuromesh !== undefined);
    page.id = await page.evaluate(async (room) => {
      window.mesh = await window.neuromesh.join();
      window.room = window.mesh.room(room);
      await window.room.ready;
      return window.mesh.id;
    }, room);
    await page.evaluate(ours);
    await page.evaluate(streams);
    await page.evaluate(
      ([echo, deaf]) => {
        window.serveEcho(echo);
        window.unread = [];
        window.mesh.handle(deaf, (stream) => window.unread.push(stream));
      },
      [ECHO, DEAF],
    );
    return page;
  };
  const direct = (page, other) =>
    page.evaluate(async (id) => (await window.mesh.peers()).some((peer) => peer.id === id && peer.connected && peer.path === "direct"), other.id);
  const meet = (page, other) =>
    until(async () => (await direct(page, other)) && (await direct(other, page)), "a direct connection", 60_000);
  const echoes = async (from, to, size = 100_000) =>
    assert.ok(await from.evaluate(([peer, protocol, size]) => window.echo(peer, protocol, size), [to.id, ECHO, size]), "an echo");
  /** As many peer connections as there are neighbours: one here. */
  const settled = (page, count) => until(async () => (await page.evaluate(() => window.openConnections())) === count, `${count} peer connections`);
  const relay = () => node.address(true);
  /** A hostile peer of its own, by its name in the page. */
  const villain = async (name) => {
    const id = await hostile.evaluate(
      async ([name, relay]) => {
        window[name] = await window.villain(relay);
        return window[name].id;
      },
      [name, relay()],
    );
    await until(() => hostile.evaluate((name) => window[name].reachable(), name), "a slot at the relay");
    return id;
  };

  before(async () => {
    bare = await barePage("js-libp2p");
    node = await TestNode.create({ models: [], web: bare.folder });
    browsers = await Promise.all([launch(PRECISE), launch(PRECISE), launch(PRECISE)]);
    us = await join(await open(browsers[0]), "awake");
    friend = await join(await open(browsers[1]), "awake");
    frozen = await join(await BackgroundTab.open(browsers[1], node.url), "asleep");
    await friend.evaluate(async () => window.mesh.room("asleep").ready);
    stopped = await join(await open(browsers[2]), "asleep");
    hostile = await openPage(await browsers[1].newContext(), new URL("js-libp2p/", node.url).href);
    await hostile.waitForFunction(() => window.villain !== undefined);
    await Promise.all([meet(us, friend), meet(friend, frozen), meet(friend, stopped), meet(frozen, stopped)]);
    await settled(us, 1);
  });

  after(async () => {
    await wake?.();
    await Promise.all((browsers ?? []).map((browser) => browser.close()));
    await TestNode.removeAll();
    await bare?.remove();
  });

  test("two tabs fall asleep: frozen by the system, and stopped with its whole machine", async () => {
    await echoes(friend, frozen);
    await echoes(friend, stopped);
    await frozen.evaluate(() => {
      window.told = [];
      for (const name of ["freeze", "resume"]) document.addEventListener(name, () => window.told.push(name));
    });
    await frozen.freeze(true);
    const resume = await suspend(browsers[2]);
    wake = async () => {
      wake = undefined;
      resume();
      await frozen.freeze(false);
    };
    asleepSince = Date.now();
    // Who writes to one that takes nothing is held back, and then told.
    cutOff = friend.evaluate(
      async ([peer, protocol]) => {
        const stream = await window.mesh.open(peer, protocol).catch((error) => error.name);
        if (typeof stream === "string") return [stream, 0];
        const piece = new Uint8Array(64 << 10);
        for (let taken = 0; ; taken += piece.length) {
          const failure = await stream.write(piece).then(() => undefined, ({ name }) => name);
          if (failure !== undefined) return [failure, taken];
        }
      },
      [stopped.id, DEAF],
    );
  });

  test("garbage where descriptions and candidates should be is refused at once, and leaves nothing", async () => {
    await villain("garbage");
    const ended = await hostile.evaluate(async (target) => {
      const noise = [
        (stream) => stream.send(new Uint8Array(20).fill(255)),
        (stream) => stream.send(Uint8Array.of(0xff, 0xff, 0xff, 0x7f)),
        (stream) => stream.signal("offer", "this is no description"),
        (stream) => stream.signal("offer", ""),
        (stream) => stream.signal("offer", `v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n${"a=x:y\r\n".repeat(8000)}m=application 9 UDP`),
        (stream) => stream.signal("answer", "unasked"),
        (stream) => Array.from({ length: 70 }, () => stream.signal("candidate", '{"candidate":"x"}')),
        (stream) => stream.close(),
      ];
      const ended = [];
      for (const make of noise) {
        const stream = await window.garbage.open(target);
        make(stream);
        ended.push(await stream.ended);
      }
      return ended;
    }, us.id);
    assert.equal(ended.length, 8);
    await settled(us, 1);
    await echoes(us, friend);
  });

  test("a flood of signalling streams costs what two cost", async () => {
    await villain("flood");
    const made = await us.evaluate(() => window.madeConnections());
    await hostile.evaluate(async (target) => {
      const open = await Promise.all(Array.from({ length: 200 }, () => window.flood.open(target).catch(() => undefined)));
      window.flooding = open.filter((stream) => stream !== undefined);
      const over = new Set();
      window.flooding.forEach((stream) => stream.ended.then(() => over.add(stream)));
      window.surviving = () => window.flooding.length - over.size;
    }, us.id);
    // Those that were admitted wait for an offer; all others end at once.
    await until(() => hostile.evaluate(() => window.surviving() <= 2), "the flood is over");
    assert.ok((await us.evaluate(() => window.madeConnections())) - made <= 12, "no more than a peer may begin in a minute");
    assert.ok((await us.evaluate(() => window.openConnections())) <= 3);
    await echoes(us, friend);
  });

  test("others never answer, answer nonsense, or leave in the middle", async () => {
    const names = ["mute", "liar", "chatterbox"];
    for (const name of [...names, "leaver"]) await villain(name);
    await hostile.evaluate(() => {
      window.mute.answer(() => undefined);
      window.liar.answer(async (stream) => {
        for await (const [kind] of stream.signals()) if (kind === "offer") stream.signal("answer", "no description");
      });
      window.chatterbox.answer((stream) => Array.from({ length: 100 }, () => stream.signal("candidate", '{"candidate":"x","sdpMid":"0"}')));
    });
    const dial = async (name) => {
      const address = `${relay()}/p2p-circuit/webrtc/p2p/${await hostile.evaluate((name) => window[name].id, name)}`;
      return us.evaluate((address) => window.mesh.dial(address).then(() => "connected", ({ name, message }) => `${name}: ${message}`), address);
    };
    const dialled = Promise.all(names.map(dial));
    // It describes itself, and is gone before the channel `init` opens.
    const left = hostile.evaluate(async (target) => {
      const stream = await window.leaver.open(target);
      const peer = new RTCPeerConnection();
      peer.createDataChannel("init");
      const offer = await peer.createOffer();
      await peer.setLocalDescription(offer);
      stream.signal("offer", offer.sdp);
      for await (const [kind, text] of stream.signals()) {
        if (kind !== "answer") continue;
        await peer.setRemoteDescription({ type: "answer", sdp: text });
        break;
      }
      peer.close();
      return stream.ended;
    }, us.id);
    const flooded = hostile.evaluate(() => Promise.all(window.flooding.map(({ ended }) => ended)).then((all) => all.length));
    // Looked at once their time is over.
    givenUp = Promise.all([dialled, left, flooded]).finally(() => hostile.evaluate((names) => Promise.all(names.map((name) => window[name].stop())), names));
    givenUp.catch(() => undefined);
    await echoes(us, friend);
  });

  test("candidates that lead nowhere do not hinder those that do", async () => {
    await villain("guest");
    const heard = await hostile.evaluate(
      async ([target, protocol]) => {
        const nonsense = ["", "null", "[]", "no JSON", '{"candidate":"x"}', '{"candidate":"candidate:1 1 udp 1 256.0.0.1 9 typ host","sdpMid":"7"}'];
        window.guest.link = await window.guest.connect(target, (stream) => nonsense.forEach((text) => stream.signal("candidate", text)));
        return window.rawEcho(window.guest.link, protocol, "behind it is the browser's own WebRTC");
      },
      [us.id, ECHO],
    );
    assert.ok(heard);
  });

  test("10,000 data channels, and what nobody should send on them", async () => {
    const before = await us.evaluate(() => window.memoryNow());
    const opened = await hostile.evaluate(async () => {
      const { link } = window.guest;
      let opened = 0;
      // As many at once as the browser makes; closed, their numbers are free again. A browser may hold them back for a while.
      for (let round = 0; opened < 10_000; round += 1) {
        if (round > 400 || link.connectionState !== "connected") return [opened, link.connectionState];
        const labels = round % 2 === 0 ? "" : "init";
        const channels = (await Promise.all(Array.from({ length: 300 }, () => window.openChannel(link, labels)))).filter(Boolean);
        opened += channels.length;
        await Promise.all(
          channels.map((channel) => new Promise((resolve) => {
            channel.onclose = resolve;
            if (channel.readyState === "closed") resolve();
            else channel.close();
          })),
        );
      }
      return [opened, link.connectionState];
    });
    assert.ok(opened[0] >= 10_000, String(opened));
    const ends = await hostile.evaluate(async () => {
      const { link } = window.guest;
      const send = async (...messages) => {
        const channel = await window.openChannel(link);
        const closed = new Promise((resolve) => {
          channel.onclose = resolve;
        });
        messages.forEach((message) => channel.send(message));
        return closed.then(() => "closed");
      };
      const long = window.frame(new Uint8Array(20_000));
      return Promise.all([
        send(long),
        send(new Uint8Array(200_000)),
        send(new Uint8Array(12).fill(255)),
        send(Uint8Array.of(3, 0x12, 9, 1)),
        // Lengths that are small again once anything is added to them, in 32 and in 64 bits.
        send(Uint8Array.of(255, 255, 255, 255, 15)),
        send(Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 255, 1)),
        send("4294967295", "1000000000", "some words"),
        send(window.frame(new Uint8Array(16_000)), window.frame(new Uint8Array(16_000))),
      ]);
    });
    assert.deepEqual(ends, Array(8).fill("closed"));
    await echoes(us, friend, 5 * MIB);
    await echoes(friend, us, 5 * MIB);
    const grown = (await us.evaluate(() => window.memoryNow())).wasm - before.wasm;
    assert.ok(grown < 64 * MIB, `${grown} bytes`);
    await hostile.evaluate(() => window.guest.link.close());
  });

  test("what nobody reads is bounded, stream by stream and in all, and its sender is told", async () => {
    const pour = (count, size) =>
      friend.evaluate(
        async ([peer, protocol, count, size]) => {
          const piece = new Uint8Array(256 << 10);
          const pour = async () => {
            const stream = await window.mesh.open(peer, protocol);
            for (let taken = 0; taken < size; taken += piece.length) {
              const failure = await stream.write(piece).then(() => undefined, ({ name }) => name);
              if (failure !== undefined) return failure;
            }
            await stream.closeWrite();
            return "taken";
          };
          return Promise.all(Array.from({ length: count }, pour));
        },
        [us.id, DEAF, count, size],
      );
    /** What is left of it here. */
    const drain = () =>
      us.evaluate(async () => {
        const left = { bytes: 0, failures: [] };
        for (const stream of window.unread.splice(0)) {
          try {
            for await (const piece of stream) left.bytes += piece.length;
          } catch ({ name }) {
            left.failures.push(name);
          }
        }
        return left;
      });
    // 16 MiB of one stream, 64 MiB of one connection.
    assert.deepEqual(await pour(1, 24 * MIB), ["NetworkError"]);
    assert.deepEqual(await drain(), { bytes: 0, failures: ["NetworkError"] });
    const ends = await pour(12, 14 * MIB);
    const { bytes, failures } = await drain();
    assert.ok(bytes > 0 && bytes <= 64 * MIB, `${bytes} bytes`);
    assert.ok(failures.length >= 12 - 4 && failures.every((name) => name === "NetworkError"), String(failures));
    assert.ok(ends.filter((end) => end === "NetworkError").length > 0, String(ends));
    await echoes(us, friend);
  });

  test("those who never answered, answered nonsense or left were given up, with a name", async () => {
    const [failures, , flooded] = await givenUp;
    const patterns = [/^NetworkError: .*within 20 s/, /^NetworkError: .*refused/, /^NetworkError: .*candidates/];
    patterns.forEach((pattern, index) => assert.match(failures[index], pattern));
    assert.ok(flooded > 100, `${flooded} streams of the flood have ended`);
    await settled(us, 1);
    await echoes(us, friend);
  });

  test("the node refuses the same", async () => {
    const ended = await hostile.evaluate(
      async (target) => {
        window.again = await window.villain(target.relay);
        const refused = { signal: () => undefined, ended: "refused" };
        const kept = await Promise.all(Array.from({ length: 200 }, () => window.again.open(target.id).catch(() => refused)));
        for (const [index, stream] of kept.entries()) {
          try {
            stream.signal(index % 2 === 0 ? "offer" : "answer", "no description");
          } catch {
            // It has ended already.
          }
        }
        return Promise.all(kept.map(({ ended }) => ended)).then((all) => all.length);
      },
      { relay: relay(), id: node.ready.peerId },
    );
    assert.equal(ended, 200);
    await villain("crowd");
    const before = node.memory();
    const opened = await hostile.evaluate(async (target) => {
      const link = await window.crowd.connect(target);
      const noise = [window.frame(new Uint8Array(20_000)), new Uint8Array(100_000), new Uint8Array(9).fill(255), "1000000000", Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 255, 1)];
      let opened = 0;
      for (let round = 0; round < 5; round += 1) {
        const channels = (await Promise.all(Array.from({ length: 200 }, () => window.openChannel(link)))).filter(Boolean);
        opened += channels.length;
        channels.forEach((channel, index) => {
          if (channel.readyState === "open") channel.send(noise[index % noise.length]);
        });
        await Promise.all(channels.map((channel) => new Promise((resolve) => {
          channel.onclose = resolve;
          if (channel.readyState === "closed") resolve();
          else channel.close();
        })));
      }
      link.close();
      return opened;
    }, node.ready.peerId);
    assert.ok(opened >= 200, `${opened} channels`);
    const grown = node.memory() - before;
    assert.ok(grown < 128 * MIB, `${grown} bytes`);
    assert.ok(await node.healthy());
    await echoes(us, friend);
  });

  test("the network goes away and comes back", { skip: !ownNetwork() && "only in a network of the tests' own" }, async () => {
    const pending = us.evaluate(
      async ([peer, protocol]) => {
        const stream = await window.mesh.open(peer, protocol);
        await stream.write(new Uint8Array(10));
        for (let got = 0; got < 10; ) got += (await stream.read()).length;
        window.waiting = true;
        return stream.read().then(() => "read", ({ name }) => name);
      },
      [friend.id, ECHO],
    );
    await us.waitForFunction(() => window.waiting);
    network(false);
    try {
      assert.equal(await pending, "NetworkError");
      await until(async () => !(await direct(us, friend)), "no direct connection");
    } finally {
      network(true);
    }
    await meet(us, friend);
    await echoes(us, friend);
    await echoes(friend, us);
  });

  test("a tab that leaves the network is missed at once, and connected again when it returns", async () => {
    const interruptions = await friend.evaluate(() => window.interruptions());
    await us.evaluate(() => window.mesh.setOnline(false));
    await until(async () => !(await direct(friend, us)), "it left");
    assert.equal(await friend.evaluate(() => window.interruptions()), interruptions, "it said so");
    await settled(us, 0);
    await us.evaluate(() => window.mesh.setOnline(true));
    await meet(us, friend);
    await echoes(us, friend);
  });

  test("who slept for a minute is connected again, directly", async () => {
    const [failure, taken] = await cutOff;
    assert.equal(failure, "NetworkError");
    assert.ok(taken < 16 * MIB, `${taken} bytes were taken for a peer that takes none`);
    await until(() => Date.now() - asleepSince >= ASLEEP_MS, "a minute", ASLEEP_MS);
    await wake();
    await until(() => frozen.evaluate(() => window.told.join() === "freeze,resume"), "it was frozen indeed");
    for (const page of [frozen, stopped]) {
      await meet(friend, page);
      await echoes(friend, page);
      await echoes(page, friend);
    }
    await meet(frozen, stopped);
    await echoes(frozen, stopped);
  });

  test("no page complained", () => {
    for (const page of [us, friend, stopped]) {
      // The network was taken away on purpose, also from those who answer echoes.
      assert.deepEqual(page.complaints.filter((text) => !/WebSocket|ERR_|Failed to load resource|NetworkError: the connection was lost/.test(text)), []);
    }
  });
});

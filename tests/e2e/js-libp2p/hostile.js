// Peers without manners: js-libp2p carries what they signal, everything behind that is the browser's own WebRTC.
import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { identify } from "@libp2p/identify";
import { webSockets } from "@libp2p/websockets";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

const SIGNALLING = "/webrtc-signaling/0.0.1";
/** More than any protocol may have. */
const STREAMS = 1_000;
const encoder = new TextEncoder();

const varint = (number) => (number < 128 ? [number] : [(number & 127) | 128, ...varint(number >> 7)]);
const KINDS = ["offer", "answer", "candidate"];

/** A message of the signalling protocol. */
const signal = (kind, text) => {
  const data = encoder.encode(text);
  const head = [8, KINDS.indexOf(kind), 0x12, ...varint(data.length)];
  return Uint8Array.from([...varint(head.length + data.length), ...head, ...data]);
};

/** A message of a data channel, with data. */
const frame = (data) => {
  const head = [0x12, ...varint(data.length)];
  return Uint8Array.from([...varint(head.length + data.length), ...head, ...data]);
};

const readVarint = (bytes, at) => {
  for (let [value, shift] = [0, 0]; at < bytes.length; shift += 7) {
    value |= (bytes[at] & 127) << shift;
    if (bytes[at++] < 128) return [value, at];
  }
  return undefined;
};

/** The fields 1 and 2 of the protobuf messages at the front of `bytes`, and what is left. */
const messages = (bytes) => {
  const found = [];
  for (;;) {
    const [length, start] = readVarint(bytes, 0) ?? [];
    if (start === undefined || bytes.length < start + length) return [found, bytes];
    const fields = [];
    for (let at = start; at < start + length; ) {
      const [key, behind] = readVarint(bytes, at);
      const [value, end] = readVarint(bytes, behind);
      at = (key & 7) === 2 ? end + value : end;
      fields[key >> 3] = (key & 7) === 2 ? bytes.slice(end, at) : value;
    }
    found.push(fields);
    bytes = bytes.slice(start + length);
  }
};

/** A stream on which anything can be said; `ended` tells why it is over. */
const wrap = (stream) => ({
  send: (bytes) => stream.send(bytes),
  signal: (kind, text) => stream.send(signal(kind, text)),
  close: () => stream.close(),
  ended: new Promise((resolve) => {
    stream.addEventListener("close", ({ error }) => resolve(error?.name ?? "closed"));
    // It may have been reset while it was still being opened.
    if (["closed", "aborted", "reset"].includes(stream.status)) resolve(stream.status);
  }),
  /** What the other side signals. */
  async *signals() {
    let rest = new Uint8Array(0);
    for await (const piece of stream) {
      const [found, left] = messages(Uint8Array.from([...rest, ...piece.subarray()]));
      rest = left;
      for (const [, kind = 0, data = new Uint8Array(0)] of found) yield [KINDS[kind], new TextDecoder().decode(data)];
    }
  },
});

/** A peer at a relay, with an id of its own. */
window.villain = async (relay) => {
  const node = await createLibp2p({
    addresses: { listen: ["/p2p-circuit"] },
    transports: [webSockets(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    // It would hang up on a circuit that it cannot ping.
    connectionMonitor: { enabled: false },
    services: { identify: identify() },
  });
  const connection = await node.dial(multiaddr(relay));
  const options = { runOnLimitedConnection: true, maxOutboundStreams: STREAMS, maxInboundStreams: STREAMS };
  const circuits = new Map();
  const circuit = async (target) => {
    const open = circuits.get(target);
    if (open?.status === "open") return open;
    const made = connection.remotePeer.toString() === target ? connection : await node.dial(multiaddr(`${relay}/p2p-circuit/p2p/${target}`));
    circuits.set(target, made);
    return made;
  };
  const self = {
    id: node.peerId.toString(),
    reachable: () => node.getMultiaddrs().some((address) => address.toString().includes("/p2p-circuit")),
    stop: () => node.stop(),
    /** Opens a signalling stream; one that is refused has ended. */
    open: async (target) => wrap(await (await circuit(target)).newStream(SIGNALLING, options)),
    /** Takes the signalling streams of those who dial it. */
    answer: (take) => node.handle(SIGNALLING, (stream) => take(wrap(stream)), options),
    /** A WebRTC connection as it should be made; `more` may say more on the stream. */
    connect: async (target, more = () => undefined) => {
      const stream = await self.open(target);
      const peer = new RTCPeerConnection();
      const init = peer.createDataChannel("init");
      const connected = new Promise((resolve, reject) => {
        peer.onconnectionstatechange = () => {
          if (peer.connectionState === "connected") resolve();
          else if (["failed", "closed"].includes(peer.connectionState)) reject(new Error(peer.connectionState));
        };
      });
      const offer = await peer.createOffer();
      stream.signal("offer", offer.sdp);
      peer.onicecandidate = ({ candidate }) => {
        if (candidate !== null && peer.connectionState !== "connected") stream.signal("candidate", JSON.stringify(candidate));
      };
      await peer.setLocalDescription(offer);
      await more(stream);
      const listen = async () => {
        for await (const [kind, text] of stream.signals()) {
          if (kind === "answer") await peer.setRemoteDescription({ type: "answer", sdp: text });
          else if (JSON.parse(text)?.candidate) await peer.addIceCandidate(JSON.parse(text));
        }
      };
      await Promise.race([connected, Promise.all([listen(), connected])]);
      await stream.close().catch(() => undefined);
      init.close();
      return peer;
    },
  };
  return self;
};

/** An open data channel, or none where the browser or the other side has no more. */
window.openChannel = (peer, label = "") =>
  new Promise((resolve) => {
    let channel;
    try {
      channel = peer.createDataChannel(label);
    } catch {
      resolve(undefined);
      return;
    }
    channel.binaryType = "arraybuffer";
    channel.onopen = () => resolve(channel);
    channel.onclose = () => resolve(undefined);
  });

window.frame = frame;

/** Whether the peer behind a raw connection speaks this protocol and sends back what it gets. */
window.rawEcho = async (peer, protocol, text) => {
  const channel = await window.openChannel(peer);
  const line = (words) => [...varint(words.length + 1), ...encoder.encode(`${words}\n`)];
  channel.send(frame([...line("/multistream/1.0.0"), ...line(protocol), ...encoder.encode(text)]));
  let [got, rest] = ["", new Uint8Array(0)];
  return new Promise((resolve) => {
    channel.onclose = () => resolve(false);
    channel.onmessage = ({ data }) => {
      const [found, left] = messages(Uint8Array.from([...rest, ...new Uint8Array(data)]));
      rest = left;
      for (const [, , piece] of found) got += new TextDecoder().decode(piece ?? new Uint8Array(0));
      if (got.endsWith(text)) resolve(true);
    };
  });
};

// js-libp2p as its users set it up for a page, within reach of the tests.
import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { gossipsub } from "@libp2p/gossipsub";
import { identify } from "@libp2p/identify";
import { ping } from "@libp2p/ping";
import { webRTC, webRTCDirect } from "@libp2p/webrtc";
import { webSockets } from "@libp2p/websockets";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import "./hostile.js";

window.start = async (relay) => {
  const node = await createLibp2p({
    addresses: { listen: ["/p2p-circuit", "/webrtc"] },
    transports: [webSockets(), webRTC({ rtcConfiguration: { iceServers: [] } }), webRTCDirect({ rtcConfiguration: { iceServers: [] } }), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    // Addresses on loopback are refused in pages otherwise.
    // A busy machine takes its time.
    connectionManager: { dialTimeout: 30_000, inboundUpgradeTimeout: 30_000, outboundUpgradeTimeout: 30_000 },
    connectionGater: { denyDialMultiaddr: () => false },
    services: { identify: identify(), ping: ping(), pubsub: gossipsub({ allowPublishToZeroTopicPeers: true }) },
  });
  window.node = node;
  await node.dial(multiaddr(relay));
  return node.peerId.toString();
};

window.dial = async (address) => void (await node.dial(multiaddr(address)));
window.address = () => node.getMultiaddrs().map(String).find((text) => text.includes("/ws/") && text.includes("/p2p-circuit/webrtc/"));
window.ping = (peer) => node.services.ping.ping(connection(peer).remotePeer);
window.connections = (peer) => node.getConnections().filter(({ remotePeer }) => remotePeer.toString() === peer).map(({ remoteAddr, limits }) => [remoteAddr.toString(), limits !== undefined]);

const connection = (peer) => node.getConnections().find(({ remotePeer, limits }) => remotePeer.toString() === peer && limits === undefined);

/** The same few calls as a mesh's, so that the tests speak to both alike. */
const wrapped = (stream) => {
  const pieces = stream[Symbol.asyncIterator]();
  return {
    read: async () => {
      const { done, value } = await pieces.next();
      return done ? undefined : value instanceof Uint8Array ? value : value.subarray();
    },
    write: async (data) => {
      if (!stream.send(data)) await stream.onDrain();
    },
    closeWrite: () => stream.close(),
  };
};
window.openStream = async (peer, protocol) => wrapped(await connection(peer).newStream(protocol));
window.handleStreams = (protocol, take) => node.handle(protocol, (stream) => take(wrapped(stream)));
window.subscribe = (topic) => {
  window.heard = [];
  node.services.pubsub.addEventListener("message", ({ detail }) => {
    if (detail.topic === topic) window.heard.push([detail.from?.toString(), new TextDecoder().decode(detail.data)]);
  });
  node.services.pubsub.subscribe(topic);
};
window.publish = async (topic, text) => void (await node.services.pubsub.publish(topic, new TextEncoder().encode(text)));

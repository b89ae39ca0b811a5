// What may grow in a page, seen from outside of the package: peer connections, memory of WebAssembly, JavaScript's heap.

/** To be run before anything else of the page. */
export const watch = () => {
  const connections = [];
  let interruptions = 0;
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...configuration) {
      super(...configuration);
      connections.push(this);
      this.addEventListener("connectionstatechange", () => {
        if (this.connectionState === "disconnected") interruptions += 1;
      });
    }
  };
  window.openConnections = () => connections.filter((peer) => peer.connectionState !== "closed").length;
  /** How often nothing was heard from the other side, who had not said that it leaves. */
  window.interruptions = () => interruptions;
  window.madeConnections = () => connections.length;
  const memories = new Set();
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...of) => {
    const made = await instantiate(...of);
    const { memory } = (made.instance ?? made).exports;
    if (memory !== undefined) memories.add(memory);
    return made;
  };
  /** Bytes of WebAssembly's memory on this thread, and of JavaScript's heap. */
  window.memoryNow = () => ({
    wasm: [...memories].reduce((sum, memory) => sum + memory.buffer.byteLength, 0),
    heap: performance.memory?.usedJSHeapSize ?? 0,
  });
};

/** How a browser is to be started, so that its pages know their heap to the byte. */
export const PRECISE = ["--enable-precise-memory-info"];

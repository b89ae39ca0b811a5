// A data channel between two pages with nothing over it: what the browser does by itself.

const MESSAGE = 16 * 1024;

/** Runs in the page: an offer with a channel, or an answer to one, each once all candidates are in it. */
const describe = async (offer) => {
  const connection = (window.bare ??= new RTCPeerConnection());
  const ready = (channel) => {
    channel.binaryType = "arraybuffer";
    window.channel = new Promise((resolve) => {
      channel.onopen = () => resolve(channel);
      if (channel.readyState === "open") resolve(channel);
    });
  };
  if (offer === undefined) ready(connection.createDataChannel("bare"));
  else {
    connection.ondatachannel = ({ channel }) => ready(channel);
    await connection.setRemoteDescription({ type: "offer", sdp: offer });
  }
  const gathered = new Promise((resolve) => {
    connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve();
  });
  await connection.setLocalDescription();
  await gathered;
  return connection.localDescription.sdp;
};

/** Connects two pages that have not been connected so yet. */
export async function connectBare(left, right) {
  const offer = await left.evaluate(describe, undefined);
  const answer = await right.evaluate(describe, offer);
  await left.evaluate((sdp) => window.bare.setRemoteDescription({ type: "answer", sdp }), answer);
  for (const page of [left, right]) {
    await page.waitForFunction(() => window.channel !== undefined);
    await page.evaluate(() => window.channel.then(() => undefined));
  }
}

/** Milliseconds until one page has acknowledged `size` bytes of the other by one message. */
export async function uploadBare(from, to, size) {
  // What comes while nobody listens is lost.
  await to.evaluate(async (size) => {
    const channel = await window.channel;
    let got = 0;
    channel.onmessage = ({ data }) => {
      got += data.byteLength;
      if (got === size) channel.send(new Uint8Array(1));
    };
  }, size);
  return from.evaluate(
    async ([size, message]) => {
      const channel = await window.channel;
      channel.bufferedAmountLowThreshold = 512 * 1024;
      const acknowledged = new Promise((resolve) => {
        channel.onmessage = resolve;
      });
      const bytes = new Uint8Array(message);
      const start = performance.now();
      for (let sent = 0; sent < size; sent += message) {
        if (channel.bufferedAmount > 1024 * 1024) {
          await new Promise((resolve) => {
            channel.onbufferedamountlow = resolve;
          });
        }
        channel.send(bytes);
      }
      await acknowledged;
      return performance.now() - start;
    },
    [size, MESSAGE],
  );
}

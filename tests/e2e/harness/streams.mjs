// What is done with a stream, the same in a page of ours and in one of js-libp2p (see js-libp2p/main.js): installed into both.
export const streams = () => {
  const CHUNK = 64 * 1024;
  const sized = (size) => Uint8Array.from({ length: size }, (_, index) => (index * 31 + (index >> 8) * 7) & 255);

  /** Sends back whatever comes. */
  window.serveEcho = (protocol) =>
    window.handleStreams(protocol, async (stream) => {
      for (let piece = await stream.read(); piece !== undefined; piece = await stream.read()) await stream.write(piece);
      await stream.closeWrite();
    });

  /** Whether so many bytes come back as they were sent, while they are sent. */
  window.echo = async (peer, protocol, size) => {
    const stream = await window.openStream(peer, protocol);
    const sent = sized(size);
    const write = async () => {
      for (let at = 0; at < size; at += CHUNK) await stream.write(sent.subarray(at, at + CHUNK));
      await stream.closeWrite();
    };
    const written = write();
    let got = 0;
    let equal = true;
    for (let piece = await stream.read(); piece !== undefined; piece = await stream.read()) {
      for (let index = 0; index < piece.length; index += 1) equal &&= piece[index] === sent[got + index];
      got += piece.length;
    }
    await written;
    return equal && got === size;
  };

  /** Milliseconds until `size` bytes of ours have been acknowledged by one byte. */
  window.serveSink = (protocol) =>
    window.handleStreams(protocol, async (stream) => {
      for (let piece = await stream.read(); piece !== undefined; piece = await stream.read());
      await stream.write(new Uint8Array(1));
      await stream.closeWrite();
    });
  window.upload = async (peer, protocol, size) => {
    const stream = await window.openStream(peer, protocol);
    const chunk = new Uint8Array(CHUNK);
    const start = performance.now();
    for (let at = 0; at < size; at += CHUNK) await stream.write(chunk.subarray(0, Math.min(CHUNK, size - at)));
    await stream.closeWrite();
    if ((await stream.read())?.length !== 1) throw new Error("no acknowledgement");
    return performance.now() - start;
  };

  /** Milliseconds until `size` bytes, asked for by their number, have come; and how many of them each of `steps` 100 ms carried. */
  window.download = async (peer, protocol, size, steps = 20) => {
    const stream = await window.openStream(peer, protocol);
    const pace = Array(steps).fill(0);
    const start = performance.now();
    await stream.write(new Uint8Array(Uint32Array.of(size).buffer));
    let got = 0;
    for (let piece = await stream.read(); piece !== undefined; piece = await stream.read()) {
      got += piece.length;
      pace[Math.min(Math.floor((performance.now() - start) / 100), steps - 1)] += piece.length;
    }
    if (got !== size) throw new Error(`${got} of ${size} bytes came`);
    const took = performance.now() - start;
    await stream.closeWrite();
    return { took, pace };
  };

  /** What each 100 ms carried of `size` bytes of ours, as who takes them tells once all are there. */
  window.pace = async (peer, protocol, size) => {
    const stream = await window.openStream(peer, protocol);
    const chunk = new Uint8Array(CHUNK);
    for (let at = 0; at < size; at += CHUNK) await stream.write(chunk.subarray(0, Math.min(CHUNK, size - at)));
    await stream.closeWrite();
    const told = [];
    for (let piece = await stream.read(); piece !== undefined; piece = await stream.read()) told.push(...piece);
    return [...new Uint32Array(Uint8Array.from(told).buffer)];
  };

  /** Median round trip of 32 bytes on one stream, in milliseconds. */
  window.roundTrip = async (peer, protocol, times) => {
    const stream = await window.openStream(peer, protocol);
    const took = [];
    for (let turn = 0; turn < times; turn += 1) {
      const start = performance.now();
      await stream.write(new Uint8Array(32));
      for (let got = 0; got < 32; ) got += (await stream.read()).length;
      took.push(performance.now() - start);
    }
    await stream.closeWrite();
    return took.sort((a, b) => a - b)[times >> 1];
  };
};

/** Our page's half of the same names. */
export const ours = () => {
  window.openStream = (peer, protocol) => window.mesh.open(peer, protocol);
  window.handleStreams = (protocol, take) => window.mesh.handle(protocol, take);
};

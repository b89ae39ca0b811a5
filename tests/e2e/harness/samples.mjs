// Files whose types the model knows.
import { open, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync } from "node:zlib";

export const PYTHON = Buffer.from(
  `#!/usr/bin/env python3
import argparse
import sys


class Counter:
    """Counts words."""

    def __init__(self, path):
        self.path = path

    def count(self):
        with open(self.path, encoding="utf-8") as source:
            return sum(len(line.split()) for line in source)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    args = parser.parse_args()
    print(Counter(args.path).count())


if __name__ == "__main__":
    sys.exit(main())
`,
);

/** A PNG of `side` by `side` grey pixels. */
export function png(side = 32) {
  const crc = (bytes) => {
    let value = ~0;
    for (const byte of bytes) {
      value ^= byte;
      for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
    }
    return ~value >>> 0;
  };
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const ends = [Buffer.alloc(4), Buffer.alloc(4)];
    ends[0].writeUInt32BE(data.length);
    ends[1].writeUInt32BE(crc(body));
    return Buffer.concat([ends[0], body, ends[1]]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 0, 0, 0, 0], 8);
  const rows = Buffer.alloc(side * (side + 1), 128);
  for (let row = 0; row < side; row += 1) rows[row * (side + 1)] = 0;
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

/** A file of `size` bytes on disk that begins and ends like an ELF program would not matter to a name: a PNG in front. */
export async function largeFile(size) {
  const folder = await mkdtemp(join(tmpdir(), "neuromesh-large-"));
  const path = join(folder, "large.bin");
  const file = await open(path, "w");
  const image = png(256);
  await file.write(image, 0, image.length, 0);
  const tail = image.subarray(image.length - 12);
  await file.write(tail, 0, tail.length, size - tail.length);
  await file.close();
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}

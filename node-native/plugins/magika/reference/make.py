"""Makes the samples beside this file and reference.json: what the PyPI package `magika` says of them.

    python -m venv V && V/bin/pip install magika==1.0.3 && V/bin/python make.py

Everything is drawn from fixed text and seeds, so a second run changes nothing but scores in the last digits.
"""

import gzip, io, json, random, shutil, sqlite3, struct, tarfile, tempfile, wave, zipfile, zlib
from pathlib import Path

import magika
from magika import Magika
from magika.types import Seekable

HERE = Path(__file__).parent
SAMPLES = HERE / "samples"


def png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((x * y) % 256 for x in range(width * 3)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def bmp(width, height):
    rows = bytes((7 * i) % 256 for i in range(width * 3 * height))
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54 + len(rows), 0, 0, 54, 40, width, height, 1, 24, 0, len(rows), 2835, 2835, 0, 0) + rows


def gif():
    return b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + b"!\xf9\x04\0\0\0\0\0," + struct.pack("<HHHHB", 0, 0, 4, 4, 0) + b"\x02\x05\x84\x8f\xa9\xcb\x0c\0;"


def wav():
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
        file.writeframes(b"".join(struct.pack("<h", (i * 313) % 9000 - 4500) for i in range(1500)))
    return out.getvalue()


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in (("a.txt", "hello " * 100), ("notes/b.md", "# Title\n\nText\n" * 20)):
            file.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)
    return out.getvalue()


def docx():
    out = io.BytesIO()
    types = '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
    rels = '<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>'
    body = '<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>' + "<w:p><w:r><w:t>A paragraph of text.</w:t></w:r></w:p>" * 40 + "</w:body></w:document>"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in (("[Content_Types].xml", types), ("_rels/.rels", rels), ("word/document.xml", body)):
            file.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)
    return out.getvalue()


def tarred():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as file:
        for name, data in (("a.txt", b"hello\n" * 30), ("b.txt", b"other\n" * 30)):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_600_000_000
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def sqlite():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        base = sqlite3.connect(path)
        base.execute("create table notes (id integer primary key, text text)")
        base.executemany("insert into notes (text) values (?)", [(f"note {i}",) for i in range(20)])
        base.commit(), base.close()
        return path.read_bytes()


def pdf():
    parts, offsets = [b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"], []
    stream = b"BT /F1 18 Tf 40 700 Td (Hello from a small document) Tj ET"
    for number, body in enumerate([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>", b"<< /Length %d >>\nstream\n" % len(stream) + stream + b"\nendstream", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"], 1):
        offsets.append(sum(map(len, parts)))
        parts.append(b"%d 0 obj\n" % number + body + b"\nendobj\n")
    start = sum(map(len, parts))
    parts.append(b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
    parts.append(b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start)
    return b"".join(parts)


def elf():
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 0x90, 0x90, 0x1000)
    return header + segment + b"\xb8\x3c\0\0\0\x31\xff\x0f\x05" + bytes(15)


PYTHON = '''"""A small module."""

import os
from dataclasses import dataclass


@dataclass
class Point:
    x: float
    y: float

    def length(self) -> float:
        return (self.x**2 + self.y**2) ** 0.5


def main():
    for name in sorted(os.listdir(".")):
        print(name, Point(1, 2).length())


if __name__ == "__main__":
    main()
'''
RUST = '''use std::collections::HashMap;

#[derive(Debug, Clone)]
pub struct Counter<'a> { words: HashMap<&'a str, usize> }

impl<'a> Counter<'a> {
    pub fn new(text: &'a str) -> Result<Self, Box<dyn std::error::Error>> {
        let mut words = HashMap::new();
        for word in text.split_whitespace() {
            *words.entry(word).or_insert(0) += 1;
        }
        Ok(Self { words })
    }
}

fn main() {
    println!("{:?}", Counter::new("a b a").unwrap());
}
'''
C = '''#include <stdio.h>
#include <stdlib.h>

struct node { int value; struct node *next; };

static struct node *push(struct node *head, int value) {
    struct node *n = malloc(sizeof *n);
    if (n == NULL) { perror("malloc"); exit(1); }
    n->value = value;
    n->next = head;
    return n;
}

int main(int argc, char **argv) {
    struct node *list = NULL;
    for (int i = 0; i < argc; i++) list = push(list, i);
    while (list) { printf("%d %s\\n", list->value, argv[list->value]); list = list->next; }
    return 0;
}
'''
GO = '''package main

import (
	"fmt"
	"net/http"
)

func handler(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "Hi there, I love %s!", r.URL.Path[1:])
}

func main() {
	http.HandleFunc("/", handler)
	if err := http.ListenAndServe(":8080", nil); err != nil {
		panic(err)
	}
}
'''
JAVA = '''package com.example;

import java.util.ArrayList;
import java.util.List;

public class Main {
    private final List<String> names = new ArrayList<>();

    public static void main(String[] args) {
        Main main = new Main();
        for (String arg : args) {
            main.names.add(arg);
        }
        System.out.println(main.names);
    }
}
'''
JAVASCRIPT = '''"use strict";
const express = require("express");
const app = express();

app.get("/", async (req, res) => {
  const items = await Promise.all([1, 2, 3].map((n) => fetch(`/item/${n}`)));
  res.json({ items: items.filter((item) => item !== undefined) });
});

module.exports = app.listen(3000, () => console.log("listening"));
'''
HTML = '''<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>A page</title><link rel="stylesheet" href="style.css"></head>
<body><h1>Hello</h1><p>Some <b>text</b> and a <a href="https://example.org/">link</a>.</p>
<ul><li>one</li><li>two</li></ul><script>document.title = "x";</script></body>
</html>
'''
CSS = '''body { font-family: sans-serif; margin: 0 auto; max-width: 40rem; }
h1, h2 { color: #336; }
@media (max-width: 600px) { body { padding: 0 1rem; } .nav { display: none; } }
a:hover { text-decoration: underline; }
.card > .title { font-weight: bold; border: 1px solid rgba(0, 0, 0, .2); }
'''
PROSE = ("It was late in the evening when the letter came. Nobody had expected it, least of all the old man who sat by "
         "the window and looked at the rain. He turned it over twice, put it on the table, and went on looking. ")
XML = '<?xml version="1.0" encoding="UTF-8"?>\n<catalog>\n' + "".join(f'  <book id="{i}"><title>Title {i}</title><price currency="EUR">{i}.50</price></book>\n' for i in range(12)) + "</catalog>\n"
YAML = "version: 3\nservices:\n  web:\n    image: nginx:1.25\n    ports:\n      - \"80:80\"\n    environment:\n      MODE: production\n  db:\n    image: postgres\n    volumes:\n      - data:/var/lib/postgresql\nvolumes:\n  data: {}\n"
TOML = '[package]\nname = "thing"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\nserde = { version = "1", features = ["derive"] }\ntokio = "1"\n\n[profile.release]\nlto = true\n'
SQL = "CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, born DATE);\nINSERT INTO users (id, name, born) VALUES (1, 'Ada', '1815-12-10');\nSELECT u.name, COUNT(*) FROM users u LEFT JOIN orders o ON o.user_id = u.id GROUP BY u.name HAVING COUNT(*) > 2 ORDER BY 2 DESC;\n"
SHELL = '#!/bin/bash\nset -euo pipefail\nfor file in "$@"; do\n  if [[ -f "$file" ]]; then\n    gzip -k "$file" && echo "packed $file" >&2\n  fi\ndone\n'
MARKDOWN = "# A project\n\nWhat it does, in *one* line.\n\n## Install\n\n```sh\nnpm install thing\n```\n\n- fast\n- small\n- [docs](https://example.org)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
CSV = "id,name,city,score\n" + "".join(f"{i},Name {i},City {i % 7},{(i * 37) % 100}.5\n" for i in range(40))
JSON = json.dumps({"name": "thing", "version": "1.0.0", "list": [1, 2.5, None, True], "deep": {"a": {"b": ["c"] * 8}}}, indent=2)
INI = "[server]\nhost = localhost\nport = 8080\n; a comment\n[client]\ntimeout = 30\nretries = 3\n"
DIFF = "--- a/main.c\n+++ b/main.c\n@@ -1,5 +1,6 @@\n #include <stdio.h>\n+#include <stdlib.h>\n int main(void) {\n-    puts(\"a\");\n+    puts(\"b\");\n     return 0;\n }\n"
LATEX = "\\documentclass{article}\n\\usepackage{amsmath}\n\\begin{document}\n\\section{Start}\nLet $x^2 + y^2 = z^2$.\n\\begin{equation}\n\\int_0^1 f(x)\\,dx = \\frac{1}{2}\n\\end{equation}\n\\end{document}\n"
DOCKER = "FROM debian:12-slim\nRUN apt-get update && apt-get install -y --no-install-recommends curl\nWORKDIR /app\nCOPY . .\nENV PORT=80\nEXPOSE 80\nCMD [\"./run.sh\"]\n"


def samples():
    seeded = random.Random(7)
    yield from {
        "python": PYTHON, "rust": RUST, "c": C, "go": GO, "java": JAVA, "javascript": JAVASCRIPT, "html": HTML,
        "css": CSS, "xml": XML, "yaml": YAML, "toml": TOML, "sql": SQL, "shell": SHELL, "markdown": MARKDOWN,
        "csv": CSV, "json": JSON, "ini": INI, "diff": DIFF, "latex": LATEX, "dockerfile": DOCKER, "prose": PROSE * 4,
    }.items()
    yield from {
        "png": png(24, 24), "bmp": bmp(12, 12), "gif": gif(), "wav": wav(), "zip": zipped(), "docx": docx(),
        "tar": tarred(), "gzip": gzip.compress(PROSE.encode() * 9, mtime=0), "sqlite": sqlite(), "pdf": pdf(), "elf": elf(),
        "wasm": b"\0asm\1\0\0\0\1\5\1\x60\0\1\x7f\3\2\1\0\7\5\1\1f\0\0\n\6\1\4\0\x41\x2a\x0b",
    }.items()
    # The corners: no bytes, few bytes, white space, block boundaries, bytes that are no text.
    yield from {
        "empty": b"", "one-byte": b"a", "seven-bytes": b"abcdefg", "seven-binary": b"\xff\xfe\0\1\2\3\4",
        "eight-bytes": b"abcdefgh", "white-only": b" \t\n\r\v\f" * 9, "white-then-few": b"\n" * 40 + b"abc",
        "white-block": b" " * 5000 + PYTHON.encode(), "white-block-cut": b" " * 4094 + "aé€".encode(),
        "vertical-tab": b"\v\v\f" + PYTHON.encode() + b"\v\f\x1c", "separator": b"\x1c\x1d\x85" + PYTHON.encode(),
        "beg-exact": PROSE.encode().ljust(1024, b"x")[:1024], "block-exact": (RUST * 10).encode()[:4096],
        "block-plus": (RUST * 10).encode()[:4097], "two-blocks": (C * 20).encode()[:8192],
        "two-blocks-plus": (C * 20).encode()[:8193], "long": (JAVA * 40).encode(), "mixed": PYTHON.encode() * 9 + png(30, 30),
        "random": seeded.randbytes(3000), "random-letters": bytes(seeded.choice(b"abcdefghijklmnopqrstuvwxyz ") for _ in range(900)),
        "utf16": PROSE.encode("utf-16"), "latin1": "Über die Brücke gehen wir früh, später schön zurück. ".encode("latin-1") * 6,
        "zeros": bytes(600),
    }.items()


def fnv1a(tokens):
    """FNV-1a, 64 bits, over the tokens as 16-bit little-endian words."""
    value = 0xCBF29CE484222325
    for token in tokens:
        for byte in struct.pack("<H", token):
            value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return f"{value:016x}"


def main():
    shutil.rmtree(SAMPLES, ignore_errors=True)
    SAMPLES.mkdir()
    package, package_dir = Magika(), Path(magika.__file__).parent
    config = package._model_config
    shutil.copyfile(package_dir / "models" / package.get_model_name() / "config.min.json", HERE / "config.min.json")
    shutil.copyfile(package_dir / "config" / "content_types_kb.min.json", HERE / "content_types_kb.min.json")
    rows = []
    for name, data in samples():
        data = data.encode() if isinstance(data, str) else data
        (SAMPLES / name).write_bytes(data)
        said = package.identify_bytes(data)
        out, model = said.output, said.dl
        row = {
            "sample": name, "label": str(out.label), "group": out.group, "mime_type": out.mime_type,
            "description": out.description, "is_text": out.is_text, "extensions": list(out.extensions),
            "score": said.score, "model_label": str(model.label), "overwrite_reason": str(said.prediction.overwrite_reason),
        }
        if data:
            parts = Magika._extract_features_from_seekable(
                Seekable(io.BytesIO(data)), config.beg_size, config.mid_size, config.end_size, config.padding_token,
                config.block_size, config.use_inputs_at_offsets)
            row["features_fnv1a"] = fnv1a(parts.beg + parts.end)
        rows.append(row)
    text = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"
    (HERE / "reference.json").write_text(text)


main()

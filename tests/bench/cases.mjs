// What `make bench-engine` runs: models of the zoo (`.ci/setup/zoo.py`), each with one of its cases.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const light = ["alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19", "zfnet512"];

/** float32: name of the row, model, part of the case's name (else its first). The means are taken over these. */
const FP32 = [
  ...light.map((name) => [`light-${name}`, `light-${name}`]),
  ["minilm-32", "minilm", "32 tokens"],
  ["minilm-128", "minilm", "128 tokens"],
  ["magika", "magika"],
  ["silero", "silero", "16000 Hz, chunk 0"],
  ["ppocr-det", "ppocr-det"],
  ["ppocr-cls", "ppocr-cls"],
  ["ppocr-rec", "ppocr-rec"],
  ["mobilenetv2", "mobilenetv2"],
  ["resnet50", "resnet50"],
  ["decoder-prompt", "decoder", "32 tokens"],
  ["decoder-token", "decoder", "token 33"],
];

const INT8 = [
  ["minilm-int8-32", "minilm-int8", "32 tokens"],
  ["minilm-int8-128", "minilm-int8", "128 tokens"],
];

/** `{ id, model, label, tolerance, file, fixture }` of both groups, and of the first case of every model of the zoo. */
export function cases(reference) {
  const zoo = JSON.parse(readFileSync(join(reference, "zoo.json"))).models;
  const find = ([id, name, part = ""]) => {
    const model = zoo.find((one) => one.name === name);
    const label = model?.cases.find((one) => one.includes(part));
    if (label === undefined) throw new Error(`the zoo has no ${name} with a case ${JSON.stringify(part)}`);
    return { id, model: name, label, tolerance: model.tolerance, file: model.file, fixture: model.fixture };
  };
  return { fp32: FP32.map(find), int8: INT8.map(find), all: zoo.map(({ name }) => find([name, name])) };
}

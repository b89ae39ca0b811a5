/**
 * Neuromesh in a web page: neural models that run where it is best, and documents that survive being offline.
 *
 * ```ts
 * import { join } from "neuromesh";
 * const mesh = await join();
 * const answer = await mesh.run("all-minilm-l6-v2", "a sentence");
 * answer.tensor().data; // 384 numbers
 * answer.route.reason;  // why it ran where it ran
 * ```
 *
 * @packageDocumentation
 */
export { Answer } from "./answer.js";
export { MeshDocument, type DocumentEvents } from "./document.js";
export { NeuromeshError, type ErrorName } from "./errors.js";
export { join } from "./join.js";
export { Mesh } from "./mesh.js";
export { Room } from "./room.js";
export { MeshStream } from "./stream.js";
export type {
  Attempt,
  AudioSource,
  ClassScore,
  DType,
  EngineInfo,
  Estimate,
  GenerateInput,
  GeneratedText,
  ImageSource,
  Input,
  JoinOptions,
  Json,
  MeshEvent,
  MeshEvents,
  ModelInfo,
  Numerics,
  PeerInfo,
  Receipt,
  RoomEvents,
  RoomOptions,
  Route,
  RunOptions,
  Takes,
  Tensor,
  TensorData,
  TensorInput,
  Tier,
  VoiceActivity,
} from "./types.js";

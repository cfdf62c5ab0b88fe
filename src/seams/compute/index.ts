/**
 * Compute: hashing and coding, on worker threads or inline. Imports no codec: main hands one in.
 */
export type { BlockCoder, CodeShape, MakeCoder } from "./coder.js"
export { CODER_SCRATCH_BYTES } from "./coder.js"
export type {
  ChecksumAlgorithm,
  CodedShard,
  CodeRequest,
  CodingShape,
  Compute,
  Digests,
  Lane,
  LanePlan,
  MatrixKind,
  MendOutcome,
  MendRequest,
  RebuildRequest,
  ShardMemory,
  Slab,
  SlabPool,
} from "./contract.js"
export type { SlabSizes } from "./inline.js"
export { InlineCompute } from "./inline.js"
export { shardBytesOf, slabBytesOf, slotsOf } from "./layout.js"
export { serveCompute } from "./thread.js"
export type { ThreadSizes } from "./threads.js"
export { ThreadCompute } from "./threads.js"
export { digestOnce } from "./inline-digest.js"

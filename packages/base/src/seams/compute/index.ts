/**
 * Compute: hashing and coding, on worker threads or inline. Imports no codec: main passes one in.
 */
export type { MakeCoder } from "./coder.js"
export { CODER_SCRATCH_BYTES } from "./coder.js"
export type { Compute, HashPipelinePlan, Slab, SlabPool } from "./contract.js"
export { Hashes } from "./hashes.js"
export { InlineCompute } from "./inline.js"
export { slabBytesOf } from "./layout.js"
export { serveCompute } from "./thread.js"
export { computeThreadsFor, ThreadCompute } from "./threads.js"
export { digestOnce } from "./inline-digest.js"

/**
 * Erasure: Reed–Solomon codes over GF(2^8) (Reed, Solomon 1960), pure.
 *
 * Two codecs that always agree: the reference codec, and the fast one, which works in a WebAssembly memory.
 */
export { FastCodec, makeCodec } from "./codec.js"
export { SCRATCH_BYTES as CODEC_SCRATCH_BYTES } from "./kernel.js"
export type { CodeShape } from "./matrix.js"

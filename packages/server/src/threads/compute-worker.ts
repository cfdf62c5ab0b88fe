/**
 * Entry point of a compute thread: connects it to the codec.
 */
import { assert } from "@hayloft/base/assert.js"
import { CODEC_SCRATCH_BYTES, makeCodec } from "@hayloft/engine/erasure/index.js"
import { CODER_SCRATCH_BYTES, serveCompute } from "@hayloft/base/seams/compute/index.js"

assert(CODEC_SCRATCH_BYTES <= CODER_SCRATCH_BYTES, "the codec's tables fit the scratch area")
serveCompute(makeCodec)

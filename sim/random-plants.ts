/** Planted bugs that need a certain input: the random runs of a test are enough to draw it. */
import type { Edit, TestedPlant } from "./plants.js"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({ bug, edits, caughtBy })

const INGEST = "packages/objects/src/bodies/ingest.ts"

export const RANDOM_PLANTS: readonly TestedPlant[] = [
  plant("the signed SHA-256 of a body that is received whole is not compared", "tests/s3/delays-wire", {
    file: INGEST,
    find: 'const sha256Hex = body.sha256Hex === undefined ? undefined : digestOnce("sha256", bytes, "hex")',
    put: "const { sha256Hex } = body",
  }),
  plant("the declared checksum of a body that is received whole is not compared", "tests/s3/delays-wire", {
    file: INGEST,
    find: "checkBody(body, body.declaredChecksum(), bytes.length, { md5, sha256Hex, checksum })",
    put: "checkBody(body, undefined, bytes.length, { md5, sha256Hex, checksum })",
  }),
  plant("a set loses what is undefined between threads", "packages/engine/src/thread/packing", {
    file: "packages/engine/src/thread/packing.ts",
    find: "write: (set: ReadonlySet<unknown>) => [...set],",
    put: "write: (set: ReadonlySet<unknown>) => [...set].filter(item => item !== undefined),",
  }),
  plant("the end of a long shard is not coded", "packages/engine/src/erasure/codec", {
    file: "packages/engine/src/erasure/codec.ts",
    find: "(this.scratchAt, inputs.length, lengthBytes)",
    put: "(this.scratchAt, inputs.length, Math.min(lengthBytes, 2048))",
  }),
  plant("XML: characters beyond the first plane are lost beside markup", "packages/protocols/src/s3/wire/xml", {
    file: "packages/base/src/text/xml-writer.ts",
    find: "if (code > HIGHEST_MARKUP && code < 0xfffe) continue",
    put: "if (code > HIGHEST_MARKUP && code < 0xd800) continue",
  }),
  plant("the order of the members of an archive has 16 bits", "packages/features/src/transforms/tar-archive", {
    file: "packages/features/src/transforms/tar-members-core.ts",
    find: "this.order = Uint32Array.from({ length: this.count }, (_, member) => member)",
    put: "this.order = Uint32Array.from({ length: this.count }, (_, member) => member & 0xffff)",
  }),
  plant("a range that begins within a sub-block ends too early", "packages/engine/src/remote/store-suite", {
    file: "packages/engine/src/volume/needle-read-core.ts",
    find: "Math.min(roundUp(end, SUB_BLOCK_BYTES), place.bodyBytes)",
    put: "Math.min(bodyFromBytes + roundUp(lengthBytes, SUB_BLOCK_BYTES), place.bodyBytes)",
  }),
]

/** Planted bugs of encryption, which tests of tampering and the twins must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const ENCRYPTION = "src/object/encryption.ts"
const READER = "src/object/object-reader.ts"
const PARTS = "src/object/sealed-parts.ts"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({
  ...{ bug: `encryption: ${bug}`, edits, caughtBy },
})

export const ENCRYPTION_PLANTS: readonly TestedPlant[] = [
  plant("a record is not checked against its place", "src/object/tampering", {
    file: ENCRYPTION,
    find: "return after(this.keys.checkBind(sealing, facts), () =>",
    put: "return after(undefined, () =>",
  }),
  plant(
    "number and length of the parts are not checked",
    "src/object/tampering",
    {
      file: PARTS,
      find: "segment.offsetBytes !== offsetBytes || segment.parts.length !== expected",
      put: "segment.offsetBytes !== offsetBytes || expected === 0",
    },
    { file: PARTS, find: "if (offsetBytes !== head.sizeBytes)", put: "if (head.sizeBytes < 0)" },
  ),
  plant("an extent may belong to another part", "src/object/tampering", {
    file: PARTS,
    find: "extent.part !== partNumber || partNumber <= lastPart ||",
    put: "",
  }),
  plant("a bad tag is not noted in the log", "src/object/tampering", {
    file: "src/object/sealed-body.ts",
    find: 'this.log.error("sealed_bytes_changed", details)',
    put: "",
  }),
  plant("a full block is sent before it is known whether it is the last", "src/block/sealed-writes", {
    file: "src/block/body-writer.ts",
    find: "if (this.filled === this.blockBytes && this.isMoreKnown)",
    put: "if (this.filled === this.blockBytes)",
  }),
  plant("the copy of an object keeps the protection of its source", "sim/world/twins", {
    file: "src/object/object-service.ts",
    find: "|| !this.keepsProtection(request, source.opened))",
    put: ")",
  }),
  plant("a version may be seen without its client's key", "src/object/sealed-objects", {
    file: READER,
    find: "if (isForServer === true || (sealing === undefined && clientKey === undefined))",
    put: "if (isForServer === true || clientKey === undefined)",
  }),
  plant("a key is opened before its caller is authorised", "src/object/encryption-checks", {
    file: READER,
    find: "after(request.checkEncryption?.(opened.info.encryption), () =>",
    put: "after(undefined, () =>",
  }),
  plant("the sizes of parts are the stored ones", "src/object/sealed-objects", {
    file: "src/object/multipart-service.ts",
    find: "partNumber, sizeBytes: plainBytesOf(extent) }",
    put: "partNumber, sizeBytes: extent.lengthBytes }",
  }),
]

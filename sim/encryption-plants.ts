/** Planted bugs of encryption, which tests of tampering and the twins must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const ENCRYPTION = "packages/objects/src/bodies/encryption.ts"
const READER = "packages/objects/src/bodies/object-reader.ts"
const PARTS = "packages/objects/src/bodies/sealed-parts.ts"
const SEALING_COMMANDS = "packages/objects/src/commands/encrypt-commands-core.ts"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({
  bug: `encryption: ${bug}`,
  edits,
  caughtBy,
})

export const ENCRYPTION_PLANTS: readonly TestedPlant[] = [
  plant("a record is not checked against its place", "packages/objects/src/tampering", {
    file: ENCRYPTION,
    find: "return after(this.keys.checkBind(sealing, facts), () =>",
    put: "return after(undefined, () =>",
  }),
  plant(
    "number and length of the parts are not checked",
    "packages/objects/src/tampering",
    {
      file: PARTS,
      find: "segment.offsetBytes !== offsetBytes || lines.length !== expected",
      put: "segment.offsetBytes !== offsetBytes || expected === 0",
    },
    { file: PARTS, find: "if (offsetBytes !== sizeBytes)", put: "if (sizeBytes < 0)" },
  ),
  plant("an extent may belong to another part", "packages/objects/src/tampering", {
    file: PARTS,
    find: "if (extent.part !== partNumber || !mayBe(sealing, extent)) throw misplaced(extent)\n",
    put: "if (!mayBe(sealing, extent)) throw misplaced(extent)\n",
  }),
  plant("a bad tag is not noted in the log", "packages/objects/src/tampering", {
    file: "packages/objects/src/bodies/sealed-body.ts",
    find: 'this.log.error("sealed_bytes_changed", details)',
    put: "",
  }),
  plant("a full block is sent before it is known whether it is the last", "packages/engine/src/block/sealed-writes", {
    file: "packages/engine/src/block/body-writer.ts",
    find: "if (this.filled === this.blockBytes && this.isMoreKnown)",
    put: "if (this.filled === this.blockBytes)",
  }),
  plant("the copy of an object keeps the protection of its source", "packages/objects/src/bodies/sealed-objects", {
    file: "packages/objects/src/object-service.ts",
    find: "|| !this.keepsProtection(request, opened))",
    put: ")",
  }),
  plant("a version may be seen without its client's key", "packages/objects/src/bodies/sealed-objects", {
    file: READER,
    find: "if (isForServer === true || (sealing === undefined && clientKey === undefined))",
    put: "if (isForServer === true || clientKey === undefined)",
  }),
  plant("a key is opened before its caller is authorised", "packages/objects/src/bodies/encryption-checks", {
    file: READER,
    find: "after(request.checkEncryption?.(opened.info.encryption), () =>",
    put: "after(undefined, () =>",
  }),
  plant("the sizes of parts are the stored ones", "packages/objects/src/bodies/sealed-objects", {
    file: "packages/objects/src/multipart-service.ts",
    find: "partNumber, sizeBytes: plainBytesOf(extent) }",
    put: "partNumber, sizeBytes: extent.lengthBytes }",
  }),
  plant("shared bytes get the sealing of the latest version only", "packages/upkeep/src/encrypt/encrypt", {
    file: SEALING_COMMANDS,
    find: "...versionsOfBytes(view, objectRowKey(bucketId, key), of, foundIn),",
    put: "...[...versionsOfBytes(view, objectRowKey(bucketId, key), of, foundIn)].slice(0, 1),",
  }),
  plant("a swap does not ask for the sealing of the rows", "packages/objects/src/commands/encrypt-commands-core", {
    file: "packages/objects/src/commands/reencode-commands-core.ts",
    find: 'if (!may(naming)) throw fail("conflict")',
    put: "void may",
  }),
  plant(
    "a swap does not ask whether the rows still name the old extent",
    "packages/objects/src/commands/encrypt-commands-core",
    {
      file: "packages/objects/src/commands/reencode-commands-core.ts",
      find: "if (!isSame(naming.extent, from) || isPartOfCompletion(view, time, swap, naming))",
      put: "if (isPartOfCompletion(view, time, swap, naming))",
    },
  ),
  plant("a swap in a part list loses the order of the parts", "packages/upkeep/src/encrypt/encrypt", {
    file: "packages/objects/src/commands/reencode-commands-core.ts",
    find: "encodeSegment({ ...naming.record, parts: renamed })",
    put: "encodeSegment({ ...naming.record, parts: [...renamed].reverse() })",
  }),
  plant(
    "a reader from before the encryption takes sealed parts for plain ones",
    "packages/upkeep/src/encrypt/encrypt",
    {
      file: READER,
      find: "if (!parts.some(({ extent }) => extent.isSealed)) return undefined",
      put: "if (parts.length > 0) return undefined",
    },
  ),
  plant("plain parts come to an upload that is encrypted by now", "packages/upkeep/src/encrypt/encrypt", {
    file: "packages/objects/src/commands/multipart-commands-core.ts",
    find: "if (upload.sealing !== undefined && put.part.extent.isSealed === undefined) throw beingEncrypted()",
    put: "void beingEncrypted",
  }),
  plant("a copy shares bytes that were encrypted meanwhile", "packages/upkeep/src/encrypt/encrypt", {
    file: "packages/objects/src/commands/version-commands-core.ts",
    find: "|| !isSameSealing(record?.sealing, version.sealing)) throw",
    put: ") throw",
  }),
  plant("sealed blocks begin where the plain ones did", "packages/upkeep/src/encrypt/encrypt", {
    file: "packages/engine/src/block/reencoder.ts",
    find: "const offsetBytes = block * plainBytes",
    put: "const offsetBytes = block * extent.blockBytes",
  }),
  plant("an open upload is left without a sealing", "packages/upkeep/src/encrypt/encrypt", {
    file: "packages/upkeep/src/encrypt/encrypt-core.ts",
    find: "decodeUpload(value).sealing === undefined ?",
    put: "decodeUpload(value).initiatedMs < 0 ?",
  }),
  plant("a pass that leaves an object counts as the last", "packages/upkeep/src/encrypt/encrypt", {
    file: "packages/upkeep/src/encrypt/encrypt.ts",
    find: "const isLast = isSettled && this.found === 0",
    put: "const isLast = isSettled && this.sealed === 0",
  }),
  plant("a rescue joins plain and sealed blocks of an upload", "packages/node/src/rescue/found-body", {
    file: "packages/node/src/rescue/found-body.ts",
    find: "whole(storedBytes, ({ generation }) => generation >= from)",
    put: "whole(storedBytes)",
  }),
]

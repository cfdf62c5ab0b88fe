/** Metadata with one bucket, and inputs for commands on its objects: for tests of the commands. */
import assert from "node:assert/strict"
import { isFailure, type FailureDetails, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, parseUploadId, type UploadId } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import type { QueryView } from "@hayloft/engine/metadata/index.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { createBucket } from "./bucket-commands-core.js"
import { pendingDeletionsFrom } from "./pending-deletion-commands-core.js"
import { NO_CHECKSUM } from "./row-editor-core.js"
import type { PutVersion } from "./version-commands-core.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"

export const KEY = objectKeyOfText("folder/key")

/** An upload of the first incarnation, which is the engine's own. */
export const uploadOf = (number: number): UploadId => parseUploadId(`00000001${number.toString(16).padStart(24, "0")}`)
/** An upload of another incarnation. */
export const foreignUploadOf = (number: number): UploadId =>
  parseUploadId(`00000002${number.toString(16).padStart(24, "0")}`)
export const extentOf = (number: number, change: Partial<Extent> = {}): Extent => ({
  uploadId: uploadOf(number),
  part: 0,
  lengthBytes: 100,
  blockBytes: 4096,
  policy: parsePolicy("replica:2"),
  generation: 0,
  exceptions: [],
  ...change,
})
export const randomOf = (number: number): Uint8Array => new Uint8Array(8).fill(number)

export async function newBucket() {
  const metadata = new MemoryMetadata()
  const { id } = await metadata.run(
    createBucket({ name: parseBucketName("bucket"), owner: parseAccountId("root"), location: "" }),
  )
  return { metadata, bucketId: id, row: objectRowKey(id, KEY) }
}
export type Scene = Awaited<ReturnType<typeof newBucket>>

/** A put of an object of 100 bytes with the bytes of upload `number`. */
export function putOf(
  { bucketId }: Pick<Scene, "bucketId">,
  number: number,
  change: Partial<PutVersion["version"]> = {},
): PutVersion {
  return {
    bucketId,
    key: KEY,
    uploadId: undefined,
    conditions: {},
    hints: [],
    version: {
      content: { kind: "extent", extent: extentOf(number) },
      payload: undefined,
      sizeBytes: 100,
      md5: new Uint8Array(16).fill(number),
      parts: 0,
      random: randomOf(number),
      checksum: NO_CHECKSUM,
      details: NO_DETAILS,
      storageClass: "STANDARD",
      isShared: false,
      ...change,
    },
  }
}

/** A view of the rows that counts those of ranges that are read. */
export function countingRows(view: QueryView) {
  const counts = { rows: 0 }
  const range: QueryView["range"] = function* (...of) {
    for (const pair of view.range(...of)) {
      counts.rows += 1
      yield pair
    }
  }
  const get: QueryView["get"] = (...of) => view.get(...of)
  const scan: QueryView["scan"] = (...of) => view.scan(...of)
  const { position, incarnations, generationMark } = view
  return { counts, view: { get, range, scan, position, incarnations, generationMark } }
}

/** Pending deletions, oldest first: upload ids, or the kind and the multipart upload. */
export const released = ({ metadata }: Pick<Scene, "metadata">): string[] =>
  [...pendingDeletionsFrom(metadata.committed, ALL_ROWS)].map(({ record }) => {
    if (record.kind === "extent") return record.extent.uploadId
    if (record.kind !== "blocks") return `${record.kind} ${record.multipartId}`
    const runs = record.runs.map(({ firstBlock, lastBlock }) => `${firstBlock}-${lastBlock}`)
    return `blocks ${runs.join(",")} of ${record.extent.uploadId}`
  })

export const refuses = (run: Promise<unknown>, kind: FailureKind, details: FailureDetails = {}): Promise<void> =>
  assert.rejects(run, error => {
    if (!isFailure(error, kind)) throw error
    for (const [name, value] of Object.entries(details)) assert.equal(error.details[name], value, name)
    return true
  })

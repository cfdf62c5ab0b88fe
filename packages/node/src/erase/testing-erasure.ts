/** The findings of someone who has all files of all devices and the master key, for tests of erasures. */
import { unlessRefused } from "@hayloft/base/failures.js"
import type { BucketId } from "@hayloft/base/ids.js"
import { BUCKET_SECRET, bucketKeyRowKey, decodeBucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { parseControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { openBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import { query } from "@hayloft/engine/metadata/index.js"
import type { Medium } from "@hayloft/base/seams/disk/medium.js"

/** The secret of a bucket as its row has it; undefined: it has none, or it was destroyed. */
export const sealedSecret = query("SealedSecretForTest", (view, id: BucketId): Uint8Array | undefined => {
  const row = view.get("bucketKeys", bucketKeyRowKey(id, BUCKET_SECRET))
  const key = row && decodeBucketKey(row.value)
  return key?.kind === "secret" ? Uint8Array.from(key.sealed) : undefined
})

/** The content of every file below a folder, by path. */
export function filesBelow(medium: Medium, folder: string): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>()
  for (const name of medium.namesIn(folder)) {
    const path = folder === "/" ? `/${name}` : `${folder}/${name}`
    const file = medium.fileAt(path)
    if (file === undefined) for (const [below, bytes] of filesBelow(medium, path)) found.set(below, bytes)
    else found.set(path, bufferOf(file.current.slice()))
  }
  return found
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

/** All epoch keys that the master key opens, in whatever file is a control record. */
export function epochKeysIn(
  files: ReadonlyMap<string, Buffer>,
  masterKey: Uint8Array,
): ReadonlyMap<number, Uint8Array> {
  const found = new Map<number, Uint8Array>()
  for (const bytes of files.values()) {
    const record = unlessRefused(() => parseControlRecord(bytes))
    for (const { number, sealed } of record?.keyring?.epochs ?? []) {
      const key = openBytes(masterKey, `epoch key ${number}`, sealed)
      if (key !== undefined) found.set(number, key)
    }
  }
  return found
}

/** Files that contain these bytes. */
export function pathsWith(files: ReadonlyMap<string, Buffer>, bytes: Uint8Array): readonly string[] {
  return [...files].filter(([, content]) => content.includes(Buffer.from(bytes))).map(([path]) => path)
}

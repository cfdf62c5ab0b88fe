/** Bodies and uploads of clients, for tests. */
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { BodySource, Bucket, CreateMultipartRequest } from "../contract.js"

export const sourceOf = (bytes: Uint8Array, pieceBytes = 10_000): BodySource => ({
  lengthBytes: bytes.length,
  declaredChecksum: () => undefined,
  // Both ways: whole if the length is even, streamed if it is odd.
  gather: () => (bytes.length % 2 === 0 ? bytes : undefined),
  async *open() {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
  },
})

/** Returns all but the last of its bytes, and the rest once `goOn` is called. */
export function heldSource(bytes: Uint8Array, heldBytes = 10_000): { readonly slow: BodySource; goOn(): void } {
  let goOn: () => void = () => undefined
  const gate = new Promise<void>(resolve => (goOn = resolve))
  const slow = {
    ...sourceOf(bytes),
    gather: () => undefined,
    async *open() {
      yield bytes.subarray(0, bytes.length - heldBytes)
      await gate
      yield bytes.subarray(bytes.length - heldBytes)
    },
  }
  return { slow, goOn }
}

/** An upload that has only its parts. */
export const plainUpload = (bucket: Bucket, key: ObjectKey): CreateMultipartRequest => ({
  bucket,
  key,
  attributes: { headers: {}, userMetadata: [] },
  tags: [],
  checksum: undefined,
})

/**
 * Node admission, version 1: what the master key vouches for when a node joins a cluster. Only its HMAC is stored, so
 * there is no decoder.
 *
 * Little-endian: magic "HLNA" (4), version (2), then store id, node name and fingerprint in UTF-8, each after its length
 * (2): no two triples have the same bytes.
 */
import { assert } from "@hayloft/base/assert.js"
import { concatBytes } from "@hayloft/base/bytes.js"
import type { NodeFingerprint, StoreId } from "@hayloft/base/ids.js"

export interface NodeAdmission {
  readonly storeId: StoreId
  readonly nodeName: string
  readonly fingerprint: NodeFingerprint
}

const HEAD = Uint8Array.of(0x48, 0x4c, 0x4e, 0x41, 1, 0)

export function encodeNodeAdmission({ storeId, nodeName, fingerprint }: NodeAdmission): Uint8Array {
  const fields = [storeId, nodeName, fingerprint].flatMap(field => {
    const bytes = Buffer.from(field, "utf8")
    assert(bytes.length <= 0xffff, "a field of a node's admission is shorter than 64 KiB")
    return [Uint8Array.of(bytes.length & 0xff, bytes.length >> 8), bytes]
  })
  return concatBytes([HEAD, ...fields])
}

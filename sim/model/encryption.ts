/** Encryption as clients see it: the model keeps plain bytes, and the key of a client beside them. */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { Protection, ShownEncryption } from "@hayloft/objects/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { hex } from "./digests.js"

const ETAG_BYTES = 16

export function shownOf(protection: Protection | undefined): ShownEncryption | undefined {
  switch (protection?.mode) {
    case "s3":
      return { mode: "s3" }
    case "client":
      return { mode: "client" }
    case "kms":
      return protection
    default:
      return undefined
  }
}

export const clientKeyOf = (protection: Protection | undefined): Uint8Array | undefined =>
  protection?.mode === "client" ? protection.key : undefined

/** Returns the ETag: one without meaning for data that is encrypted under a key that the store does not own. */
export const etagOf = (protection: Protection | undefined, digest: string, random: Random): string =>
  protection?.mode === "kms" || protection?.mode === "client" ? hex(random.bytes(ETAG_BYTES)) : digest

/** Throws `invalidRequest` for a missing or superfluous key of a client, `accessDenied` for another one. */
export function requireKey(kept: Uint8Array | undefined, given: Uint8Array | undefined): void {
  if (kept === undefined && given === undefined) return
  if (given === undefined) {
    throw fail("invalidRequest", {
      message:
        "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.",
    })
  }
  if (kept === undefined) {
    throw fail("invalidRequest", { message: "The encryption parameters are not applicable to this object." })
  }
  if (equalBytes(kept, given)) return
  throw fail("accessDenied", {
    message:
      "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key.",
  })
}

/** The same for a part of an upload, with `invalidRequest` for another key too. */
export function requireKeyOfUpload(kept: Uint8Array | undefined, given: Uint8Array | undefined): void {
  if ((kept === undefined) !== (given === undefined)) {
    throw fail("invalidRequest", {
      message:
        "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.",
    })
  }
  if (kept === undefined || given === undefined || equalBytes(kept, given)) return
  throw fail("invalidRequest", {
    message: "The provided encryption parameters did not match the ones used originally.",
  })
}

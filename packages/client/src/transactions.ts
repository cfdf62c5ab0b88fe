/** Transactions as clients write and read them: the JSON of `POST /?transaction`. */
import { BrokenAnswer } from "./remote.js"
import { isJsonObject } from "@hayloft/base/json.js"

interface Place {
  readonly bucket: string
  readonly key: string
}

/** Conditions on the object before the transaction: an ETag, or `*` for any. */
interface Matching {
  readonly ifMatch?: string
  readonly ifNoneMatch?: string
}

interface UploadedPart {
  readonly partNumber: number
  readonly etag: string
}

/** Each key can be in one operation only. */
export type TransactionEntry =
  /** Completes a multipart upload. */
  | { readonly put: Place & Matching & { readonly uploadId: string; readonly parts: readonly UploadedPart[] } }
  | { readonly delete: Place & Matching & { readonly versionId?: string } }
  | {
      readonly rename: Place &
        Matching & {
          readonly toBucket?: string
          readonly toKey: string
          readonly destinationIfMatch?: string
          readonly destinationIfNoneMatch?: string
        }
    }
  | { readonly check: Place & Matching }

/** The result of one operation. */
export interface TransactionResult {
  readonly versionId?: string
  readonly etag?: string
  readonly deleteMarker?: true
}

/** Throws `BrokenAnswer`. */
export function transactionResults(text: string): readonly TransactionResult[] {
  const broken = () => new BrokenAnswer("the store answered a transaction with something else")
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch {
    throw broken()
  }
  if (!isJsonObject(answer) || !Array.isArray(answer["results"])) throw broken()
  return answer["results"].map((result: unknown) => {
    if (!isJsonObject(result)) throw broken()
    const { versionId, etag, deleteMarker } = result
    return {
      ...(typeof versionId === "string" && { versionId }),
      ...(typeof etag === "string" && { etag }),
      ...(deleteMarker === true && { deleteMarker }),
    }
  })
}

/** Multipart uploads that the twins have begun, with what both sides answered. */
import type { MultipartId, ObjectKey } from "@hayloft/base/ids.js"
import type { PartResult } from "@hayloft/objects/index.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"

export interface Upload {
  readonly key: ObjectKey
  readonly ids: readonly [MultipartId, MultipartId]
  readonly clientKey: Uint8Array | undefined
  readonly parts: Map<number, { readonly etags: readonly [string, string]; readonly checksum: string | undefined }>
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly type: "COMPOSITE" | "FULL_OBJECT" } | undefined
}

export function notePart(
  { parts }: Upload,
  partNumber: number,
  answers: readonly [PartResult, PartResult] | undefined,
): void {
  if (!answers) return
  const [{ etag, checksum }, { etag: ofModel }] = answers
  parts.set(partNumber, { etags: [etag, ofModel], checksum: checksum?.value })
}

/** Reads small XML documents from request bodies. */
import { fail } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import type { CallBody } from "./body.js"
import { parseXml, parseXmlInPieces } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement, XmlLimits } from "@hayloft/base/text/xml-reader.js"

/**
 * Older versions of Amazon's SDKs for JavaScript and PHP name the root of some documents after their own types. Amazon reads these
 * documents too.
 */
const OTHER_ROOTS: Readonly<Record<string, readonly string[]>> = {
  CompleteMultipartUpload: ["CompletedMultipartUpload", "MultipartUpload"],
  LifecycleConfiguration: ["BucketLifecycleConfiguration"],
  LegalHold: ["ObjectLockLegalHold"],
  Retention: ["ObjectLockRetention"],
}

export const isRoot = ({ name }: XmlElement, root: string): boolean =>
  name === root || (OTHER_ROOTS[root]?.includes(name) ?? false)

/** Enough for any document about one bucket or object. */
export const SMALL_DOCUMENT: XmlLimits = { bytesMax: 64 * KIB, elementsMax: 1_000 }

/**
 * The root of the document; undefined for an empty body. `pause` interrupts the parsing of long documents.
 * Throws `malformedXml`, and the failures of `CallBody.document`.
 */
export async function readDocument(
  body: CallBody,
  checksum: "required" | "optional" | "ofObject",
  limits: XmlLimits = SMALL_DOCUMENT,
  pause?: () => Promise<void>,
): Promise<XmlElement | undefined> {
  const bytes = await body.document({ bytesMax: limits.bytesMax, checksum })
  if (bytes.length === 0) return undefined
  return pause === undefined ? parseXml(bytes, limits) : parseXmlInPieces(bytes, limits, pause)
}

/** A required document with this root. Throws `missingDocument`, `malformedXml`, `invalidRequest`. */
export async function readRequiredDocument(
  body: CallBody,
  root: string,
  limits: XmlLimits = SMALL_DOCUMENT,
  checksum: "required" | "optional" = "required",
): Promise<XmlElement> {
  const found = await readDocument(body, checksum, limits)
  if (found === undefined) throw fail("missingDocument")
  if (!isRoot(found, root)) throw fail("malformedXml", { reason: `the document must be a ${root}` })
  return found
}

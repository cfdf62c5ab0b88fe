/** Location and versioning of a bucket. */
import { fail } from "@hayloft/base/failures.js"
import type { S3Answer, BucketCall } from "../call.js"
import { answerEmpty, answerXml, linesOfFields } from "../call.js"
import { readRequiredDocument, SMALL_DOCUMENT } from "../read-document.js"
import { checkChildren, childText } from "@hayloft/base/text/xml-reader.js"
import { escapeXml, XML_DECLARATION, XML_NAMESPACE } from "../wire/xml-writer.js"
import { DEFAULT_REGION } from "./buckets.js"
import { hidesVersions } from "./versions.js"

/** Unlike in S3's other answers, the root element itself holds the value. */
export async function getBucketLocation({ bucket, configuredRegion }: BucketCall): Promise<S3Answer> {
  const location = bucket.location === "" ? (configuredRegion ?? "") : bucket.location
  const shown = location === DEFAULT_REGION ? "" : escapeXml(location)
  const xml = `${XML_DECLARATION}<LocationConstraint xmlns="${XML_NAMESPACE}">${shown}</LocationConstraint>`
  return { status: 200, headers: linesOfFields([]), body: { kind: "document", bytes: Buffer.from(xml, "utf8") } }
}

export async function getBucketVersioning({ bucket }: BucketCall): Promise<S3Answer> {
  return answerXml("VersioningConfiguration", xml => {
    if (bucket.versioning !== "never" && !hidesVersions(bucket))
      xml.text("Status", bucket.versioning === "enabled" ? "Enabled" : "Suspended")
  })
}

/** Throws `malformedXml`, `notImplemented` (MFA delete). */
export async function putBucketVersioning(call: BucketCall): Promise<S3Answer> {
  // Amazon does not require a checksum here, and minio-js sends none.
  const root = await readRequiredDocument(call.body, "VersioningConfiguration", SMALL_DOCUMENT, "optional")
  checkChildren(root, ["Status", "MfaDelete"])
  if ((childText(root, "MfaDelete") ?? "Disabled").trim() !== "Disabled") {
    throw fail("notImplemented", { message: "MFA delete is not implemented." })
  }
  const status = childText(root, "Status")?.trim()
  if (status !== "Enabled" && status !== "Suspended") {
    throw fail("malformedXml", { reason: "Status must be Enabled or Suspended" })
  }
  await call.services.buckets.setVersioning(call.bucket, status === "Enabled" ? "enabled" : "suspended")
  return answerEmpty(200)
}

/** GetObjectAttributes: the attributes of an object, without its headers and bytes. */
import { httpDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import { PARTS_MAX } from "@hayloft/base/limits.js"
import type { ObjectInfo, ObjectPart, StoredChecksum } from "@hayloft/objects/contract.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import type { S3Answer, ObjectCall } from "../call.js"
import { answerXml } from "../call.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { clientKeyOf } from "./encryption-of-requests.js"
import { requireKey } from "./kms-of-requests.js"
import { shownVersion, versionHeader, versionIdOf } from "./versions.js"

const ATTRIBUTES = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
const PARTS_SHOWN_MAX = 1000

/** Throws `invalidRequest` if none is named, `invalidArgument` for an unknown one. */
function wantedOf(headers: Headers): readonly string[] {
  const wanted = (headers.get("x-amz-object-attributes") ?? "")
    .split(",")
    .map(name => name.trim())
    .filter(Boolean)
  if (wanted.length === 0) {
    throw fail("invalidRequest", {
      message:
        "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty",
    })
  }
  const unknown = wanted.find(name => !ATTRIBUTES.includes(name))
  if (unknown === undefined) return wanted
  throw fail("invalidArgument", {
    message: "Invalid attribute name specified.",
    argumentName: "x-amz-object-attributes",
    argumentValue: unknown.slice(0, 80),
  })
}

/** A whole number in a header. Throws `invalidArgument`. */
function numberOf(headers: Headers, name: string, max: number): number | undefined {
  const text = headers.get(name)
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text)) throw fail("invalidArgument", { argumentName: name, argumentValue: text.slice(0, 80) })
  return Math.min(Number(text), max)
}

function writeChecksum(xml: XmlWriter, { algorithm, value }: StoredChecksum): void {
  xml.text(`Checksum${algorithm}`, value)
}

interface PartsPage {
  readonly parts: readonly ObjectPart[]
  readonly next: number | undefined
  readonly afterPart: number
  readonly max: number
}

/** Parts are listed only if they have checksums, as on S3; their count always. */
function writeParts(xml: XmlWriter, info: ObjectInfo, { parts, next, afterPart, max }: PartsPage): void {
  const { partsCount, checksum: ofWhole } = info
  if (partsCount === undefined) return
  xml.group("ObjectParts", list => {
    list.text("PartsCount", partsCount)
    const haveChecksums = parts.length === 0 ? ofWhole !== undefined : parts.some(part => part.checksum)
    if (!haveChecksums) return
    list
      .text("PartNumberMarker", afterPart)
      .text("NextPartNumberMarker", parts.at(-1)?.partNumber ?? afterPart)
      .text("MaxParts", max)
      .text("IsTruncated", next !== undefined)
    for (const { partNumber, sizeBytes, checksum } of parts) {
      list.group("Part", part => {
        part.text("PartNumber", partNumber).text("Size", sizeBytes)
        if (checksum !== undefined) writeChecksum(part, checksum)
      })
    }
  })
}

function write(xml: XmlWriter, wanted: readonly string[], info: ObjectInfo, page: PartsPage): void {
  const { etag, checksum, sizeBytes, storageClass } = info
  if (wanted.includes("ETag")) xml.text("ETag", etag)
  if (wanted.includes("Checksum") && checksum !== undefined) {
    xml.group("Checksum", group => {
      // Without the number of parts, unlike the headers of HEAD and GET.
      writeChecksum(group, { ...checksum, value: checksum.value.replace(/-\d+$/, "") })
      group.text("ChecksumType", checksum.type)
    })
  }
  if (wanted.includes("ObjectParts")) writeParts(xml, info, page)
  if (wanted.includes("StorageClass")) xml.text("StorageClass", storageClass)
  if (wanted.includes("ObjectSize")) xml.text("ObjectSize", sizeBytes)
}

export async function getObjectAttributes(call: ObjectCall): Promise<S3Answer> {
  const { services, bucket, key, headers } = call
  const versionId = versionIdOf(call)
  const wanted = wantedOf(headers)
  const afterPart = numberOf(headers, "x-amz-part-number-marker", PARTS_MAX) ?? 0
  const max = numberOf(headers, "x-amz-max-parts", PARTS_SHOWN_MAX) ?? PARTS_SHOWN_MAX
  const clientKey = clientKeyOf(call)
  const target = { bucket, key, clientKey, ...(versionId !== undefined && { versionId }) }
  const { info, parts, next } = await services.objects.parts(target, { afterPart, max })
  const page = { parts, next, afterPart, max }
  const showsChecksums =
    (wanted.includes("Checksum") && info.checksum !== undefined) ||
    (wanted.includes("ObjectParts") && parts.some(({ checksum }) => checksum !== undefined))
  // A checksum reveals something about the bytes, so it needs the key, the same as for HEAD.
  if (showsChecksums) await requireKey(call, info.encryption)
  return answerXml("GetObjectAttributesResponse", xml => write(xml, wanted, info, page), [
    ["Last-Modified", httpDate(info.lastModifiedMs)],
    ...versionHeader(shownVersion(bucket, info.versionId)),
  ])
}

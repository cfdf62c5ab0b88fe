/** ListObjectVersions: all versions and delete markers, by key, newest first. */
import { isoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import type { VersionEntry } from "@hayloft/objects/contract.js"
import type { S3Answer, BucketCall } from "../call.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import {
  answerListing,
  encodingOf,
  maxOf,
  ObjectElements,
  ownersOf,
  optionalAttributesOf,
  unlessEmpty,
  writeCommonPrefix,
} from "./listing.js"
import type { Encoding, Owners } from "./listing.js"
import { parseVersion } from "./versions.js"

interface Shown {
  readonly encoding: Encoding
  readonly owners: Owners
  readonly elements: ObjectElements
}

function writeEntry(xml: XmlWriter, entry: VersionEntry, { encoding, owners, elements }: Shown): void {
  if (entry.kind === "prefix") {
    writeCommonPrefix(xml, entry.prefix, encoding)
    return
  }
  xml.group(entry.kind === "version" ? "Version" : "DeleteMarker", version => {
    version
      .text("Key", encoding.show(entry.kind === "version" ? entry.object.key : entry.key))
      .text("VersionId", entry.versionId)
      .text("IsLatest", entry.isLatest)
    if (entry.kind === "version") version.raw(elements.of(entry.object))
    else {
      version.text("LastModified", isoDate(entry.lastModifiedMs))
      owners.write(version, undefined)
    }
  })
}

export async function listObjectVersions(call: BucketCall): Promise<S3Answer> {
  const { services, bucket, query, accessControl } = call
  const prefix = query.get("prefix") ?? ""
  const delimiter = query.get("delimiter") ?? ""
  const keyMarker = query.get("key-marker") ?? ""
  const versionIdMarker = query.get("version-id-marker") ?? ""
  const max = maxOf(query, "max-keys")
  const encoding = encodingOf(query)
  if (versionIdMarker !== "" && keyMarker === "") {
    throw fail("invalidArgument", {
      message: "A version-id marker cannot be specified without a key marker.",
      argumentName: "version-id-marker",
      argumentValue: versionIdMarker.slice(0, 80),
    })
  }
  const { withRestores } = optionalAttributesOf(call)
  const page = await services.objects.listVersions({
    bucket,
    prefix,
    delimiter,
    keyMarker,
    versionIdMarker: versionIdMarker === "" ? undefined : parseVersion(versionIdMarker),
    max,
    withOwners: await accessControl.listsApply(bucket),
    withRestores,
  })
  const archives = withRestores ? services.archives : undefined
  const ids = page.entries.map(entry => (entry.kind === "version" ? entry.object.owner : undefined))
  const owners = await ownersOf(call, ids)
  return answerListing("ListVersionsResult", encoding, (xml, shownEncoding) => {
    const { type, show } = shownEncoding
    xml
      .text("Name", bucket.name)
      .text("Prefix", show(prefix))
      .text("KeyMarker", show(keyMarker))
      .text("VersionIdMarker", versionIdMarker)
      .text("NextKeyMarker", page.next === undefined ? undefined : show(page.next.keyMarker))
      .text("NextVersionIdMarker", page.next?.versionIdMarker)
      .text("MaxKeys", max)
      .text("Delimiter", unlessEmpty(show(delimiter)))
      .text("EncodingType", type)
      .text("IsTruncated", page.next !== undefined)
    const shown = { encoding: shownEncoding, owners, elements: new ObjectElements(owners, archives) }
    for (const entry of page.entries) writeEntry(xml, entry, shown)
  })
}

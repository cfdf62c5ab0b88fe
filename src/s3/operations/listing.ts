/** What all listings share: limits, encodings, common prefixes, entries. */
import { isoDate } from "../../base/dates.js"
import { fail } from "../../base/failures.js"
import { textOfObjectKey } from "../../base/ids.js"
import { percentEncode } from "../../base/uri.js"
import type { ListedObject } from "../../object/contract.js"
import type { Account } from "../../access/contract.js"
import type { Query } from "../wire/query.js"
import { escapeXml, XmlWriter } from "../wire/xml-writer.js"

export const ENTRIES_MAX = 1000

/** How byte strings are shown: percent-coded where asked, else as the text that they spell. */
export interface Encoding {
  readonly type: "url" | undefined
  readonly show: (byteString: string) => string
}

/** Throws `invalidArgument` for an encoding that is not `url`. */
export function encodingOf(query: Query): Encoding {
  const asked = query.get("encoding-type")
  if (asked === undefined) return { type: undefined, show: textOfObjectKey }
  if (asked === "url") return { type: "url", show: byteString => percentEncode(byteString, true) }
  throw fail("invalidArgument", {
    message: "Invalid Encoding Method specified in Request",
    argumentName: "encoding-type",
    argumentValue: asked.slice(0, 80),
  })
}

/** Entries asked for: at most `ENTRIES_MAX`, whatever was asked. Throws `invalidArgument`. */
export const maxOf = (query: Query, name: string): number =>
  query.integer(name, { min: 0, max: ENTRIES_MAX, clamp: true }) ?? ENTRIES_MAX

/** A text, or undefined where it is empty: such elements are left out. */
export const unlessEmpty = (text: string): string | undefined => (text === "" ? undefined : text)

export function writeOwner(xml: XmlWriter, { id, displayName }: Account): void {
  xml.group("Owner", owner => owner.text("ID", id).text("DisplayName", displayName))
}

export function writeCommonPrefix(xml: XmlWriter, prefix: string, { show }: Encoding): void {
  xml.group("CommonPrefixes", group => group.text("Prefix", show(prefix)))
}

type BehindEtag = Pick<ListedObject, "checksumAlgorithm" | "checksumType" | "sizeBytes">

/**
 * The elements of objects in a listing, in S3's order, after those that name them. What stands before and behind the
 * ETag is kept: neighbours often have the same.
 */
export class ObjectElements {
  private modifiedMs: number | undefined
  private before = ""
  private shown: BehindEtag | undefined
  private behind = ""

  constructor(private readonly owner: Account | undefined) {}

  of(object: ListedObject): string {
    if (object.lastModifiedMs !== this.modifiedMs) {
      this.modifiedMs = object.lastModifiedMs
      this.before = `<LastModified>${isoDate(object.lastModifiedMs)}</LastModified><ETag>&quot;`
    }
    if (!isShownAlike(this.shown, object)) {
      this.shown = object
      this.behind = this.behindEtag(object)
    }
    return this.before + escapeXml(object.etag) + this.behind
  }

  private behindEtag({ checksumAlgorithm, checksumType, sizeBytes }: BehindEtag): string {
    const xml = new XmlWriter()
      .text("ChecksumAlgorithm", checksumAlgorithm)
      .text("ChecksumType", checksumType)
      .text("Size", sizeBytes)
    if (this.owner !== undefined) writeOwner(xml, this.owner)
    return `&quot;</ETag>${xml.text("StorageClass", "STANDARD").toString()}`
  }
}

const isShownAlike = (a: BehindEtag | undefined, b: BehindEtag): boolean =>
  a?.sizeBytes === b.sizeBytes && a.checksumAlgorithm === b.checksumAlgorithm && a.checksumType === b.checksumType

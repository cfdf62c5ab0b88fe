/** Shared by all listings: limits, encodings, common prefixes, entries. */
import { isoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import type { AccountId } from "@hayloft/base/ids.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import type { Archives } from "@hayloft/features/storage-classes/index.js"
import type { ListedObject } from "@hayloft/objects/contract.js"
import type { Account } from "@hayloft/access/contract.js"
import type { S3Answer, BucketCall } from "../call.js"
import { answerXml } from "../call.js"
import { isRemote } from "./remote-object.js"
import type { RequestQuery } from "../wire/query.js"
import { OPTIONAL_ATTRIBUTES_HEADER, restoreElement } from "../wire/restore.js"
import { escapeXml, XmlWriter } from "../wire/xml-writer.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

const ENTRIES_MAX = 1000

/** How byte strings are shown: percent-encoded on request or if XML cannot contain them, else as text. */
export interface Encoding {
  readonly type: "url" | undefined
  readonly show: (byteString: string) => string
}

const URL_ENCODING: Encoding = { type: "url", show: byteString => percentEncode(byteString, true) }

/** Throws `invalidArgument` for an encoding that is not `url`. */
export function encodingOf(query: RequestQuery): Encoding {
  const requested = query.get("encoding-type")
  if (requested === undefined) return { type: undefined, show: textOfObjectKey }
  if (requested === "url") return URL_ENCODING
  throw fail("invalidArgument", {
    message: "Invalid Encoding Method specified in Request",
    argumentName: "encoding-type",
    argumentValue: requested.slice(0, 80),
  })
}

/**
 * The document of a listing in the requested encoding. If XML 1.0 cannot contain one of its texts, all are shown as
 * with `encoding-type=url`, and the document states that: Amazon accepts such keys, and requires
 * clients to list them with that parameter.
 */
export function answerListing(
  root: string,
  encoding: Encoding,
  write: (xml: XmlWriter, encoding: Encoding) => void,
  headers: readonly HeaderField[] = [],
): S3Answer {
  let isExact = true
  const answer = answerXml(
    root,
    xml => {
      write(xml, encoding)
      isExact = xml.isExact
    },
    headers,
  )
  return isExact ? answer : answerXml(root, xml => write(xml, URL_ENCODING), headers)
}

/** The requested number of entries, at most `ENTRIES_MAX`. Throws `invalidArgument`. */
export const maxOf = (query: RequestQuery, name: string): number =>
  query.integer(name, { min: 0, max: ENTRIES_MAX, clamp: true }) ?? ENTRIES_MAX

/**
 * A listing shows the restores of archived objects if it is asked to, and in a remote bucket where objects are. Throws
 * `invalidArgument` for other attributes.
 */
export function optionalAttributesOf({ headers, bucket }: BucketCall): {
  readonly withRestores: boolean
  readonly withStatus: boolean
} {
  const attributes = (headers.get(OPTIONAL_ATTRIBUTES_HEADER)?.split(",") ?? []).map(attribute => attribute.trim())
  const known = isRemote(bucket) ? ["RestoreStatus", "RemoteStatus"] : ["RestoreStatus"]
  const other = attributes.find(attribute => !known.includes(attribute))
  if (other === undefined)
    return { withRestores: attributes.includes("RestoreStatus"), withStatus: attributes.includes("RemoteStatus") }
  throw fail("invalidArgument", {
    message: "Invalid attribute name specified.",
    argumentName: OPTIONAL_ATTRIBUTES_HEADER,
    argumentValue: other.slice(0, 80),
  })
}

/** The text, or undefined if it is empty: such elements are omitted. */
export const unlessEmpty = (text: string): string | undefined => (text === "" ? undefined : text)

interface ShownAccount {
  readonly id: AccountId
  readonly displayName: string | undefined
}

export function writeOwner(xml: XmlWriter, { id, displayName }: ShownAccount, element = "Owner"): void {
  xml.group(element, owner => owner.text("ID", id).text("DisplayName", displayName))
}

/** Writes owners: the bucket's owner, or the account that an entry names. */
export class Owners {
  constructor(
    private readonly usual: Account,
    private readonly names: ReadonlyMap<AccountId, string>,
  ) {}

  /** `id` undefined stands for the bucket's owner. */
  write(xml: XmlWriter, id: AccountId | undefined, element = "Owner"): void {
    writeOwner(xml, id === undefined ? this.usual : { id, displayName: this.names.get(id) }, element)
  }
}

/** `ids`: owners of the listed entries, other than the bucket's owner. */
export const ownersOf = async (
  { accessControl, owner }: BucketCall,
  ids: readonly (AccountId | undefined)[],
): Promise<Owners> => new Owners(owner, await accessControl.namesOf(ids.filter(id => id !== undefined)))

export function writeCommonPrefix(xml: XmlWriter, prefix: string, { show }: Encoding): void {
  xml.group("CommonPrefixes", group => group.text("Prefix", show(prefix)))
}

type BehindEtag = Pick<ListedObject, "storageClass" | "checksumAlgorithm" | "checksumType" | "sizeBytes" | "owner">

/**
 * The elements of an object in a listing, in S3's order, after the elements that name it. The text before and after
 * the ETag is cached, since neighbours often have the same.
 */
export class ObjectElements {
  private modifiedMs: number | undefined
  private before = ""
  private shown: BehindEtag | undefined
  private behind = ""

  /** The listing omits owners or restores if `owners` or `archives` is undefined. */
  constructor(
    private readonly owners: Owners | undefined,
    private readonly archives: Pick<Archives, "restoredUntilMs"> | undefined,
  ) {}

  of(object: ListedObject): string {
    const restoredUntilMs = this.archives?.restoredUntilMs(object)
    const shown = this.withoutRestore(object)
    return restoredUntilMs === undefined ? shown : shown + restoreElement(restoredUntilMs)
  }

  private withoutRestore(object: ListedObject): string {
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

  private behindEtag({ storageClass, checksumAlgorithm, checksumType, sizeBytes, owner }: BehindEtag): string {
    const xml = new XmlWriter()
      .text("ChecksumAlgorithm", checksumAlgorithm)
      .text("ChecksumType", checksumType)
      .text("Size", sizeBytes)
    this.owners?.write(xml, owner)
    return `&quot;</ETag>${xml.text("StorageClass", storageClass).toString()}`
  }
}

const isShownAlike = (a: BehindEtag | undefined, b: BehindEtag): boolean =>
  a?.sizeBytes === b.sizeBytes &&
  a.storageClass === b.storageClass &&
  a.checksumAlgorithm === b.checksumAlgorithm &&
  a.checksumType === b.checksumType &&
  a.owner === b.owner

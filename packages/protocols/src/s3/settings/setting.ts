/**
 * A setting of a bucket: a document that its owner puts, reads and deletes, and its parsed value.
 *
 * Each kind is defined in its own file, and a line in `operations.ts` creates its requests. A document
 * is parsed and written again before it is stored, so stored and shown documents always have
 * one form and contain nothing that was not understood.
 *
 * Three states  Set; never set, which means `initial`, since Amazon sets some when it creates a bucket; and
 *               deleted, if there is an `initial`: tools that delete such a setting wait until it is gone.
 */
import type { BucketId } from "@hayloft/base/ids.js"
import { fail } from "@hayloft/base/failures.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { Bucket, Buckets, BucketSettingName, SettingRecord } from "@hayloft/objects/contract.js"
import type { XmlElement, XmlLimits } from "@hayloft/base/text/xml-reader.js"
import { parseXmlRoot } from "@hayloft/base/text/xml-reader.js"
import { xmlDocument } from "../wire/xml-writer.js"
import type { XmlWriter } from "../wire/xml-writer.js"

/** Error codes for a missing setting. */
type MissingCode =
  | "NoSuchCORSConfiguration"
  | "NoSuchTagSet"
  | "NoSuchPublicAccessBlockConfiguration"
  | "OwnershipControlsNotFoundError"
  | "ServerSideEncryptionConfigurationNotFoundError"
  | "NoSuchWebsiteConfiguration"
  | "NoSuchTransformConfiguration"
  | "NoSuchRemoteConfiguration"

export interface S3Setting<Value> {
  readonly name: BucketSettingName
  /** The document's root element. */
  readonly root: string
  readonly limits: XmlLimits
  /** The value if the setting was never set; undefined if there is none. */
  readonly initial: Value | undefined
  /** The error code if it is missing; undefined for a setting that is never missing and cannot be deleted. */
  readonly missing: MissingCode | undefined
  /** Throws the fault of the document: `malformedXml`, `invalidRequest` … */
  read(root: XmlElement): Value
  write(xml: XmlWriter, value: Value): void
}

/** A setting whose document is not XML. */
export interface TextSetting<Value> {
  readonly name: BucketSettingName
  readonly initial: Value | undefined
  /** Parses a stored document. */
  parse(document: string, bucket: Bucket): Value
}

/** A value as it is stored and shown. */
export const documentOf = <Value>(setting: S3Setting<Value>, value: Value): string =>
  Buffer.from(xmlDocument(setting.root, xml => setting.write(xml, value))).toString("utf8")

const DELETED = ""

/** The document that is stored when a setting is deleted; undefined if none is. */
export const deletedDocument = ({ initial }: S3Setting<unknown>): string | undefined =>
  initial === undefined ? undefined : DELETED

/** The document to show; undefined if there is none. */
export function shownOf(setting: S3Setting<unknown>, stored: SettingRecord | undefined): string | undefined {
  if (stored !== undefined) return stored.document === DELETED ? undefined : stored.document
  return setting.initial === undefined ? undefined : documentOf(setting, setting.initial)
}

function valueOf<Value>(
  setting: S3Setting<Value> | TextSetting<Value>,
  stored: SettingRecord | undefined,
  bucket: Bucket,
): Value | undefined {
  if (!("parse" in setting)) return valueOfDocument(setting, stored?.document)
  return stored === undefined ? setting.initial : setting.parse(stored.document, bucket)
}

/** The value of a stored document; undefined if there is none. */
export function valueOfDocument<Value>(setting: S3Setting<Value>, document: string | undefined): Value | undefined {
  if (document === undefined) return setting.initial
  if (document === DELETED) return undefined
  return setting.read(parseXmlRoot(Buffer.from(document), setting.root, STORED_LIMITS))
}

/** Stored documents are read regardless of the limits for new ones. */
const STORED_LIMITS: XmlLimits = { bytesMax: Infinity, elementsMax: Infinity }

const REMEMBERED_MAX = 1_000

/** Source of the stored documents. */
export type SettingSource = Pick<Buckets, "setting">

interface KnownValue<Value> {
  readonly settingsVersion: number
  readonly value: Value | undefined
}

/**
 * The values of one setting, by bucket.
 *
 * Promises  A value is read and parsed once for each version of the bucket's settings, and cached under the version
 *           that the bucket had before the read: a late result never replaces a newer value.
 * Limits    `REMEMBERED_MAX` buckets.
 */
export class S3SettingReader<Value> {
  private readonly known = new Map<BucketId, KnownValue<Value>>()

  constructor(
    private readonly buckets: SettingSource,
    private readonly setting: S3Setting<Value> | TextSetting<Value>,
  ) {}

  /** @returns undefined if there is no value. */
  of(bucket: Bucket): Soon<Value | undefined> {
    const { id, settings, settingsVersion } = bucket
    if (!settings.includes(this.setting.name)) return this.setting.initial
    const known = this.known.get(id)
    if (known?.settingsVersion === settingsVersion) return known.value
    return after(this.buckets.setting(bucket, this.setting.name), stored => {
      const value = valueOf(this.setting, stored, bucket)
      this.keep(id, { settingsVersion, value })
      return value
    })
  }

  private keep(id: BucketId, value: KnownValue<Value>): void {
    const known = this.known.get(id)
    if (known !== undefined && known.settingsVersion > value.settingsVersion) return
    if (this.known.size >= REMEMBERED_MAX) this.known.clear()
    this.known.set(id, value)
  }
}

/** The text of an element that has a fixed set of values. Throws `malformedXml`. */
export function wordOf<Word extends string>(text: string | undefined, words: readonly Word[]): Word {
  const word = words.find(known => known === text?.trim())
  if (word === undefined) throw fail("malformedXml", { reason: `one of ${words.join(", ")} is needed` })
  return word
}

/**
 * A setting of a bucket: a document that its owner puts, reads and takes away again, and what it says.
 *
 * Each kind is a definition in a file of its own, and a line in `operations.ts` makes its requests. The document
 * is checked and written down anew before it is kept, so that what is shown, and read back here, is always in
 * one form and holds nothing that was not understood.
 *
 * Three states  Set; never set, which is what `initial` says, as Amazon's creation of a bucket sets some; and
 *               taken away, where there is an `initial`: tools that delete such a setting wait until it is gone.
 */
import type { BucketId } from "../../base/ids.js"
import { fail } from "../../base/failures.js"
import { after, type Soon } from "../../base/soon.js"
import type { Bucket, Buckets, SettingName, SettingRecord } from "../../object/contract.js"
import type { XmlElement, XmlLimits } from "../wire/xml-reader.js"
import { parseXmlRoot } from "../wire/xml-reader.js"
import { xmlDocument } from "../wire/xml-writer.js"
import type { XmlWriter } from "../wire/xml-writer.js"

/** Of codes for a setting that is not there. */
export type MissingCode =
  "NoSuchCORSConfiguration" | "NoSuchTagSet" | "NoSuchPublicAccessBlockConfiguration" | "OwnershipControlsNotFoundError"

export interface Setting<Value> {
  readonly name: SettingName
  /** The document's root element. */
  readonly root: string
  readonly limits: XmlLimits
  /** What holds where nobody has set it; undefined: nothing does. */
  readonly initial: Value | undefined
  /** How its absence is told; undefined: it is never absent, and cannot be taken away. */
  readonly missing: MissingCode | undefined
  /** Throws what is wrong with it: `malformedXml`, `invalidRequest` … */
  read(root: XmlElement): Value
  write(xml: XmlWriter, value: Value): void
}

/** A setting whose document is a text of its own kind. */
export interface TextSetting<Value> {
  readonly name: SettingName
  readonly initial: Value | undefined
  /** Of a document that was kept. */
  parse(document: string, bucket: Bucket): Value
}

/** A value as it is kept and shown. */
export const documentOf = <Value>(setting: Setting<Value>, value: Value): string =>
  Buffer.from(xmlDocument(setting.root, xml => setting.write(xml, value))).toString("utf8")

const TAKEN_AWAY = ""

/** What is kept where a setting is taken away; undefined: nothing. */
export const takenAway = ({ initial }: Setting<unknown>): string | undefined =>
  initial === undefined ? undefined : TAKEN_AWAY

/** The document to show; undefined: there is none. */
export function shownOf(setting: Setting<unknown>, stored: SettingRecord | undefined): string | undefined {
  if (stored !== undefined) return stored.document === TAKEN_AWAY ? undefined : stored.document
  return setting.initial === undefined ? undefined : documentOf(setting, setting.initial)
}

function valueOf<Value>(
  setting: Setting<Value> | TextSetting<Value>,
  stored: SettingRecord | undefined,
  bucket: Bucket,
): Value | undefined {
  if (stored === undefined) return setting.initial
  if ("parse" in setting) return setting.parse(stored.document, bucket)
  if (stored.document === TAKEN_AWAY) return undefined
  return setting.read(parseXmlRoot(Buffer.from(stored.document), setting.root, KEPT_LIMITS))
}

/** What was kept once is read whatever the limits were or will be. */
const KEPT_LIMITS: XmlLimits = { bytesMax: Infinity, elementsMax: Infinity }

const REMEMBERED_MAX = 1_000

/** Where documents are read. */
export type SettingSource = Pick<Buckets, "setting">

interface KnownValue<Value> {
  readonly settingsVersion: number
  readonly value: Value | undefined
}

/**
 * The values of one setting, by bucket.
 *
 * Promises  A value is read and parsed once for each version of the bucket's settings, and remembered under the version
 *           that the bucket had before it was read: an answer that comes late replaces no newer value.
 * Limits    `REMEMBERED_MAX` buckets.
 */
export class SettingReader<Value> {
  private readonly known = new Map<BucketId, KnownValue<Value>>()

  constructor(
    private readonly buckets: SettingSource,
    private readonly setting: Setting<Value> | TextSetting<Value>,
  ) {}

  /** Undefined: there is none. */
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

/** Throws `malformedXml` for a child of another name: nothing is taken and ignored. */
export function checkChildren(parent: XmlElement, names: readonly string[]): void {
  const other = parent.children.find(({ name }) => !names.includes(name))
  if (other !== undefined) throw fail("malformedXml", { reason: `${parent.name} has no ${other.name.slice(0, 80)}` })
}

/** The text of an element that is one of a few words. Throws `malformedXml`. */
export function wordOf<Word extends string>(text: string | undefined, words: readonly Word[]): Word {
  const word = words.find(known => known === text?.trim())
  if (word === undefined) throw fail("malformedXml", { reason: `one of ${words.join(", ")} is needed` })
  return word
}

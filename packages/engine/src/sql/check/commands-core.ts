/** Commands and queries of the runs of a check: the smallest that show each anomaly. Pure. */
import { fail } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { objectKeyOfText, parseBucketId, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "../../format/device/entry.js"
import { bucketRowKey, objectRowKey, suffixRange, versionRowKey } from "../../format/row-key.js"
import { command, query, type RowView } from "../../metadata/index.js"

/** A row of a family whose rows stand alone. */
const OWN = "pendingDeletions" satisfies Family

export const ownKey = (text: string): RowKey => rowKeyOf(text)
export const objectKey = (text: string): RowKey => objectRowKey(parseBucketId(1), objectKeyOfText(text))
export const bucketKey = (number: number): RowKey => bucketRowKey(parseBucketId(number))

const textIn = (view: Pick<RowView, "get">, family: Family, key: RowKey): string | undefined => {
  const row = view.get(family, key)
  return row && Buffer.from(row.value).toString()
}
const writeOf = (family: Family, key: RowKey, text: string | undefined): EntryWrite => ({
  family,
  key,
  value: text === undefined ? undefined : Buffer.from(text),
})

export const textOfRow = query("CheckTextOf", (view, family: Family, key: RowKey) => textIn(view, family, key))

/** Sets a row that stands alone. */
export const setOwn = command<[key: RowKey, text: string], void>({
  name: "CheckSetOwn",
  touches: key => [[OWN, key]],
  decide(view, _time, key, text) {
    view.get(OWN, key)
    return { writes: [writeOf(OWN, key, text)], result: undefined }
  },
})

export const increment = command<[key: RowKey], number>({
  name: "CheckIncrement",
  touches: key => [[OWN, key]],
  decide(view, _time, key) {
    const number = Number(textIn(view, OWN, key) ?? "0") + 1
    return { writes: [writeOf(OWN, key, String(number))], result: number }
  },
})
export const numberOf = query("CheckNumberOf", (view, key: RowKey) => Number(textIn(view, OWN, key) ?? "0"))

/** Goes off duty if the other is on duty; returns whether it did. */
export const leaveDuty = command<[own: RowKey, other: RowKey], boolean>({
  name: "CheckLeaveDuty",
  touches: (own, other) => [
    [OWN, own],
    [OWN, other],
  ],
  decide(view, _time, own, other) {
    const isFree = textIn(view, OWN, own) === "on" && textIn(view, OWN, other) === "on"
    return { writes: isFree ? [writeOf(OWN, own, "off")] : [], result: isFree }
  },
})

/** Adds a version to an object that has none; returns whether it did. */
export const addFirstVersion = command<[object: RowKey, order: number], boolean>({
  name: "CheckAddFirstVersion",
  touches: object => [["current", object]],
  decide(view, _time, object, order) {
    view.get("current", object)
    const [version] = view.range("versions", suffixRange(object))
    if (version !== undefined) return { writes: [], result: false }
    const writes = [
      writeOf("current", object, String(order)),
      writeOf("versions", versionRowKey(object, order), String(order)),
    ]
    return { writes, result: true }
  },
})
export const versionsOf = query(
  "CheckVersionsOf",
  (view, object: RowKey) => [...view.range("versions", suffixRange(object))].length,
)

/** Creates an object; returns whether it did not exist. */
export const createObject = command<[object: RowKey, text: string], boolean>({
  name: "CheckCreateObject",
  touches: object => [["current", object]],
  decide(view, _time, object, text) {
    if (view.get("current", object)) return { writes: [], result: false }
    return { writes: [writeOf("current", object, text)], result: true }
  },
})

export const deleteObject = command<[object: RowKey], void>({
  name: "CheckDeleteObject",
  touches: object => [["current", object]],
  decide(view, _time, object) {
    const writes = view.get("current", object) ? [writeOf("current", object, undefined)] : []
    return { writes, result: undefined }
  },
})

/** Replaces an object that has this text; returns whether it did. */
export const replaceObject = command<[object: RowKey, before: string, text: string], boolean>({
  name: "CheckReplaceObject",
  touches: object => [["current", object]],
  decide(view, _time, object, before, text) {
    const isThere = textIn(view, "current", object) === before
    return { writes: isThere ? [writeOf("current", object, text)] : [], result: isThere }
  },
})

export const setBucket = command<[bucket: RowKey, state: "open" | "closed"], void>({
  name: "CheckSetBucket",
  touches: bucket => [["buckets", bucket]],
  decide(view, _time, bucket, state) {
    view.get("buckets", bucket)
    return { writes: [writeOf("buckets", bucket, state)], result: undefined }
  },
})

/** Puts an object if the bucket is open. Throws `noSuchBucket`. */
export const putInto = command<[bucket: RowKey, object: RowKey], void>({
  name: "CheckPutInto",
  touches: (bucket, object) => [
    ["current", object],
    ["buckets", bucket],
  ],
  decide(view, _time, bucket, object) {
    if (textIn(view, "buckets", bucket) !== "open") throw fail("noSuchBucket")
    view.get("current", object)
    return { writes: [writeOf("current", object, "put")], result: undefined }
  },
})

/** A decision is refused, in tests and in production, if another process could make what it relied on untrue. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Family } from "@hayloft/base/rows/families.js"
import { objectKeyOfText, parseBucketId, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "../format/device/entry.js"
import { multipartRowKey, objectRowKey, partRowKey, suffixRange, textRowKey, versionRowKey } from "../format/row-key.js"
import { multipartIdOf } from "../format/objects/version-id.js"
import { command } from "./contract.js"
import type { CommandView } from "./views.js"
import { MemoryMetadata } from "./testing-engine.js"

const OBJECT = objectRowKey(parseBucketId(1), objectKeyOfText("object"))
const VERSION = versionRowKey(OBJECT, 1)
const ID = multipartIdOf(7, new Uint8Array(8))
const UPLOAD = multipartRowKey(OBJECT, ID)
const PART = partRowKey(OBJECT, ID, 1)
const NAME = textRowKey("name")
const VALUE = Buffer.from("value")

type Read = (view: CommandView) => void
const get =
  (family: Family, key: RowKey): Read =>
  view =>
    void view.get(family, key)
const range =
  (family: Family, key: RowKey, presentOnly = false): Read =>
  view =>
    void [...view.range(family, { ...suffixRange(key), presentOnly })]
const put = (family: Family, key: RowKey): EntryWrite => ({ family, key, value: VALUE })
const remove = (family: Family, key: RowKey): EntryWrite => ({ family, key, value: undefined })

/** Decides over rows that exist: an object with an older version, an upload with a part, a name. */
async function decide(reads: readonly Read[], writes: readonly EntryWrite[]): Promise<void> {
  const metadata = new MemoryMetadata()
  for (const [family, key] of [
    ["current", OBJECT],
    ["heads", OBJECT],
    ["versions", VERSION],
    ["uploads", UPLOAD],
    ["parts", PART],
    ["names", NAME],
  ] as const)
    metadata.plant(family, key, VALUE)
  const decision = command<[], void>({
    name: "Decision",
    decide(view) {
      for (const read of reads) read(view)
      return { writes, result: undefined }
    },
  })
  await metadata.run(decision())
}

const OTHER = objectRowKey(parseBucketId(1), objectKeyOfText("other"))
const OTHER_UPLOAD = multipartRowKey(OTHER, ID)
const current = [get("current", OBJECT), get("heads", OBJECT)]
const upload = get("uploads", UPLOAD)
const nextPart = partRowKey(OBJECT, ID, 2)

const SAFE: Readonly<Record<string, readonly [reads: readonly Read[], writes: readonly EntryWrite[]]>> = {
  "a new row, which the engine does not replace": [[], [put("names", textRowKey("other"))]],
  "a row that was absent and is made": [[get("current", OTHER), get("heads", OTHER)], [put("current", OTHER)]],
  "a row that was read": [[get("names", NAME)], [remove("names", NAME)]],
  "versions with the object's row": [
    [...current, range("versions", OBJECT)],
    [put("heads", OBJECT), put("versions", versionRowKey(OBJECT, 2))],
  ],
  "an absent version below the object's row": [
    [...current, get("versions", versionRowKey(OBJECT, 9))],
    [put("current", OBJECT)],
  ],
  "a part with the upload's row": [[upload, get("parts", nextPart)], [put("parts", nextPart)]],
  "a part that was read": [[get("parts", PART)], [put("parts", PART)]],
  "a segment with the upload's row, written": [[upload], [put("uploads", UPLOAD), put("segments", nextPart)]],
  "segments below the upload's row": [[upload, range("segments", UPLOAD)], [put("uploads", UPLOAD)]],
  "an upload that is gone: its id is never used again": [
    [get("uploads", OTHER_UPLOAD), get("parts", PART)],
    [put("parts", PART)],
  ],
  "rows that are found, without their absence": [[range("parts", OBJECT, true)], [put("parts", PART)]],
  "an absent row that makes no difference": [
    [view => void view.ifPresent("missingShardHints", NAME), get("names", NAME)],
    [remove("names", NAME)],
  ],
  "a row that is deleted if it is present": [[view => void view.ifPresent("parts", PART)], [remove("parts", PART)]],
  "absent rows and ranges of the generation": [
    [get("names", textRowKey("other")), range("identityLinks", NAME)],
    [put("accounts", NAME)],
  ],
  "counters, which are only added to": [[get("counters", NAME)], [put("accounts", NAME)]],
}

const UNSAFE: typeof SAFE = {
  "a deletion of a row that was absent": [
    [view => void view.ifPresent("missingShardHints", NAME)],
    [remove("missingShardHints", NAME)],
  ],
  "a deletion of a row that was not read": [[], [remove("names", NAME)]],
  "a version without the object's row": [current, [put("versions", versionRowKey(OBJECT, 2))]],
  "details without the object's row": [[get("details", VERSION)], [put("details", VERSION)]],
  "a part without the upload's row": [[], [put("parts", nextPart)]],
  "a part of an absent upload": [[get("uploads", OTHER_UPLOAD)], [put("parts", partRowKey(OTHER, ID, 1))]],
  "a segment that leaves the upload's row": [[upload], [put("segments", nextPart)]],
  "an object that was absent and is not made": [[get("current", OTHER)], [put("names", textRowKey("other"))]],
  "a hint that was absent and is not made": [[get("missingShardHints", NAME)], [put("names", textRowKey("other"))]],
  "a range of versions without the object's row": [[range("versions", OTHER)], [put("names", textRowKey("other"))]],
  "a range of parts": [[upload, range("parts", UPLOAD)], [put("uploads", UPLOAD)]],
  "a range of all objects": [[view => void [...view.range("current", ALL)]], [put("names", textRowKey("other"))]],
  "counters written": [[get("counters", NAME)], [put("counters", NAME)]],
}
const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

for (const [what, [reads, writes]] of Object.entries(SAFE)) test(`safe: ${what}`, () => decide(reads, writes))

for (const [what, [reads, writes]] of Object.entries(UNSAFE)) {
  test(`refused: ${what}`, async () => {
    await assert.rejects(decide(reads, writes), /not guarded|was not read|row|only changes/)
    // A decision that writes nothing is validated by nothing, and needs no guards.
    await decide(reads, [])
  })
}

/** The plan for one key from uploads and parts that no snapshot contains, by the nodes that took them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseMultipartId, parseUploadId, type UploadId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { FRONT_INCARNATIONS } from "@hayloft/engine/format/needles/upload-id.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import type { CatalogedUpload } from "./needle-catalog.js"
import { planKey } from "./plan-core.js"
import type { KeyFacts, KeyPlan } from "./plan.js"

const hex = (number: number, digits: number): string => number.toString(16).padStart(digits, "0")
const idOf = (incarnation: number, number: number): UploadId =>
  parseUploadId(`${hex(incarnation, 8)}${hex(number, 8)}${hex(0, 16)}`)
const upload = (incarnation: number, number: number): CatalogedUpload => ({
  uploadId: idOf(incarnation, number),
  part: 0,
  latest: 0,
  born: { multipartId: undefined, plannedLengthBytes: KIB },
})

const extentOf = (uploadId: UploadId) => ({
  uploadId,
  part: 0,
  lengthBytes: KIB,
  blockBytes: KIB,
  generation: 0,
  exceptions: [],
  policy: parsePolicy("ec:2+1"),
})

const facts = (uploads: readonly CatalogedUpload[], given: Partial<KeyFacts> = {}): KeyFacts => ({
  known: undefined,
  uploads,
  isSnapshotComplete: true,
  isShared: true,
  isAllHere: true,
  decidedBelow: undefined,
  versioning: "never",
  bodyOf: uploadId => ({ kind: "whole", shards: [], extent: extentOf(uploadId) }),
  ...given,
})

const idsOf = (entries: readonly { readonly reportEntry: { readonly uploadId?: UploadId } }[]) =>
  entries.map(({ reportEntry }) => reportEntry.uploadId)

const UPLOADS = [upload(1, 7), upload(1, 9), upload(3, 2), upload(3, 4)]

test("of uploads to one node the newest is written, and the others are superseded", () => {
  const plan = planKey(facts(UPLOADS.slice(0, 2)))
  assert.deepEqual([idsOf(plan.versions), plan.leftOut, plan.superseded], [[idOf(1, 9)], [], 1])
  assert.ok(plan.versions.every(({ reportEntry }) => !/another node/.test(reportEntry.notes.join())))
})

test("of uploads to several nodes one is written, and the newest of each other node is listed", () => {
  const plan = planKey(facts(UPLOADS))
  assert.deepEqual([idsOf(plan.versions), idsOf(plan.leftOut), plan.superseded], [[idOf(3, 4)], [idOf(1, 9)], 2])
  assert.match(plan.versions[0]?.reportEntry.notes.join() ?? "", /may be newer/)
  assert.match(plan.leftOut[0]?.reportEntry.notes.join() ?? "", /nothing shows which of the uploads is newer/)
})

test("processes of one machine follow one another: the newest upload is the one of the last process", () => {
  const plan = planKey(facts(UPLOADS, { isShared: false }))
  assert.deepEqual([idsOf(plan.versions), plan.leftOut, plan.superseded], [[idOf(3, 4)], [], 3])
})

test("versions of several nodes are all written, and their order is reported as unknown", () => {
  const plan = planKey(facts(UPLOADS, { versioning: "enabled" }))
  assert.deepEqual([idsOf(plan.versions), plan.leftOut, plan.superseded], [idsOf(UPLOADS.map(asEntry)), [], 0])
  for (const { reportEntry } of plan.versions) assert.match(reportEntry.notes.join(), /place among the versions/)
})

const multipartId = parseMultipartId("multipart")
const partOf = (incarnation: number, number: number): CatalogedUpload => ({
  uploadId: idOf(incarnation, number),
  part: 1,
  latest: 0,
  born: { multipartId, plannedLengthBytes: KIB },
})
/** A snapshot with this upload as the first part of an upload that had not ended. */
const withPart = (uploadId: UploadId): Partial<KeyFacts> => {
  const [nothing, extent] = [{ modifiedMs: 0, checksumValue: undefined }, extentOf(uploadId)]
  const parts = [{ partNumber: 1, md5: new Uint8Array(16), extent, ...nothing }]
  const upload = { initiatedMs: 0, checksum: undefined, details: NO_DETAILS, completion: undefined }
  const unfinished = [{ multipartId, upload, parts }]
  return { known: { versions: [], unfinished, named: new Set([uploadId]), aborted: new Set() } }
}
const partsIn = ({ versions }: KeyPlan) =>
  versions.flatMap(({ content }) =>
    content.kind === "multipart" ? content.parts.map(({ body }) => body.extent.uploadId) : [],
  )

test("a part that another node has replaced since the snapshot is the newer one, whatever its id", () => {
  const shared = planKey(facts([partOf(1, 9)], withPart(idOf(3, 4))))
  assert.deepEqual(partsIn(shared), [idOf(1, 9)])
  assert.doesNotMatch(shared.versions[0]?.reportEntry.notes.join() ?? "", /several nodes/)
  const alone = planKey(facts([partOf(3, 2)], withPart(idOf(3, 4))))
  assert.deepEqual(partsIn(alone), [idOf(3, 4)], "ids of one node are in order")
})

test("a part that several nodes have replaced since the snapshot is reported", () => {
  for (const uploads of [
    [partOf(1, 9), partOf(3, 6)],
    [partOf(3, 6), partOf(1, 9)],
  ]) {
    const plan = planKey(facts(uploads, withPart(idOf(2, 4))))
    assert.deepEqual(partsIn(plan), [idOf(3, 6)])
    assert.match(plan.versions[0]?.reportEntry.notes.join() ?? "", /part 1 was uploaded to several nodes/)
  }
})

/** An upload of a thread of a process with front threads. */
const ofThread = (incarnation: number, number: number): CatalogedUpload => upload(incarnation, 2 ** 31 + number)
const STEP = 1 + FRONT_INCARNATIONS
const ALONE: Partial<KeyFacts> = { isShared: false }

test("uploads to threads of one process have no order: one is written, and the newest of each other thread is listed", () => {
  const uploads = [ofThread(1, 7), ofThread(1, 9), ofThread(2, 3), ofThread(STEP, 1)]
  const plan = planKey(facts(uploads, ALONE))
  assert.deepEqual(
    [idsOf(plan.versions), idsOf(plan.leftOut), plan.superseded],
    [idsOf(uploads.slice(3).map(asEntry)), idsOf(uploads.slice(1, 3).map(asEntry)), 1],
  )
  assert.match(plan.versions[0]?.reportEntry.notes.join() ?? "", /another thread/)
  assert.match(plan.leftOut[0]?.reportEntry.notes.join() ?? "", /nothing shows which of the uploads is newer/)
})

test("uploads before a start with front threads, and after it, are in order", () => {
  const before = [upload(5, 1), upload(6, 1), ofThread(6 + STEP, 1)]
  for (const last of [ofThread(6 + 2 * STEP, 1), upload(7 + STEP, 1)]) {
    const plan = planKey(facts([...before, last], ALONE))
    assert.deepEqual([idsOf(plan.versions), plan.leftOut, plan.superseded], [[last.uploadId], [], 3])
  }
})

test("an upload to another thread that is incomplete may be the newest: it is reported", () => {
  const [lost, older, written] = [ofThread(3, 1), upload(2, 1), ofThread(4, 1)]
  const whole = facts([]).bodyOf
  const bodyOf: KeyFacts["bodyOf"] = (uploadId, row) =>
    uploadId === written.uploadId ? whole(uploadId, row) : { kind: "incomplete", reason: "too few shards" }
  const plan = planKey(facts([older, lost, written], { ...ALONE, bodyOf }))
  assert.deepEqual([idsOf(plan.versions), idsOf(plan.incomplete)], [[written.uploadId], [lost.uploadId]])
})

const partOfThread = (incarnation: number, number: number): CatalogedUpload => partOf(incarnation, 2 ** 31 + number)

test("a part that another thread has replaced since the snapshot is the newer one, whatever its id", () => {
  const [row, replaced] = [partOfThread(3, 4), partOfThread(1, 9)]
  const plan = planKey(facts([replaced], { ...withPart(row.uploadId), ...ALONE }))
  assert.deepEqual(partsIn(plan), [replaced.uploadId])
  const both = planKey(facts([replaced, partOfThread(2, 1)], { ...withPart(row.uploadId), ...ALONE }))
  assert.match(both.versions[0]?.reportEntry.notes.join() ?? "", /part 1 was uploaded to several threads/)
  const earlier = planKey(facts([partOf(1, 9)], { ...withPart(row.uploadId), ...ALONE }))
  assert.deepEqual(partsIn(earlier), [row.uploadId], "a process without threads was over")
})

const asEntry = ({ uploadId }: CatalogedUpload) => ({ reportEntry: { uploadId } })

/**
 * Races between two engines on one database: after anything that two processes do at the same time, it is as if one had
 * come after the other. The same races run on a real PostgreSQL and on the simulated database.
 */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseDeviceId, parsePartitionId, parseUploadId } from "@hayloft/base/ids.js"
import type { BucketId, ObjectKey } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { createAccount } from "@hayloft/access/accounts/account-commands-core.js"
import {
  attachPolicy,
  createIdentity,
  deleteIdentity,
  detachPolicy,
  findIdentity,
  joinGroup,
  leaveGroup,
} from "@hayloft/access/identities/identity-commands-core.js"
import { createPolicy, deletePolicy, findPolicy } from "@hayloft/access/identities/managed-policy-commands-core.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { etagOfHead, NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import { closeBucket, dropBucket, openBucket } from "@hayloft/objects/commands/bucket-commands-core.js"
import { hintsOfPartition, readHints } from "@hayloft/objects/commands/missing-shard-hints-core.js"
import {
  abortUpload,
  completeUpload,
  createUpload,
  partsAfter,
  putPart,
  sealUpload,
  type Completion,
  type UploadAddress,
} from "@hayloft/objects/commands/multipart-commands-core.js"
import { dropRows } from "@hayloft/objects/commands/pending-deletion-commands-core.js"
import { readCounters } from "@hayloft/objects/commands/bucket-rows-core.js"
import { findLatest } from "@hayloft/objects/commands/found-versions-core.js"
import { NO_CHECKSUM } from "@hayloft/objects/commands/row-editor-core.js"
import { putVersion, recordHints, removeLatest } from "@hayloft/objects/commands/version-commands-core.js"
import type { Conditions } from "@hayloft/objects/contract.js"
import { OWNER, RaceStage, type RaceSettings } from "./race-stage.js"
import { reencodeOrRemove, reencodeTwice } from "./reencode-races.js"
import "@hayloft/features/index.js"

const latest = query("Latest", (view, bucketId: BucketId, key: ObjectKey) => {
  const found = findLatest(view, objectRowKey(bucketId, key))
  return found && { etag: etagOfHead(found.head), isMarker: found.head.isMarker, number: found.head.md5[0] }
})
const counters = query("Counters", readCounters)

/** An object whose bytes are in its row. */
function inlineOf(number: number) {
  const [random, md5] = [new Uint8Array(8).fill(number), new Uint8Array(16).fill(number)]
  const version = {
    content: { kind: "inline" } as const,
    payload: new Uint8Array(100).fill(number),
    sizeBytes: 100,
    parts: 0,

    md5,
    random,
    checksum: NO_CHECKSUM,
    details: NO_DETAILS,
    storageClass: "STANDARD" as const,
    isShared: false,
  }
  return { uploadId: undefined, hints: [], version }
}

const putOf = (bucketId: BucketId, key: ObjectKey, number: number, conditions: Conditions = {}) =>
  putVersion({ bucketId, key, conditions, ...inlineOf(number) })

async function putIfAbsent(stage: RaceStage): Promise<void> {
  const { rounds, engines } = stage
  const bucketId = await stage.newBucket("absent")
  for (let round = 0; round < rounds; round += 1) {
    const key = objectKeyOfText(`key ${round}`)
    const put = (engine: 0 | 1) => () => stage.run(engine, putOf(bucketId, key, engine + 1, { ifNoneMatch: ["*"] }))
    const outcomes = await stage.race(round, put(0), put(1))
    assert.deepEqual([...outcomes].sort(), ["done", "preconditionFailed"])
    const found = await engines[0].ask(latest(bucketId, key))
    assert.equal(found?.number, outcomes[0] === "done" ? 1 : 2)
  }
  const { objects, bytes } = await engines[1].ask(counters(bucketId))
  assert.deepEqual([objects, bytes], [rounds, 100 * rounds])
}

async function putIfMatch(stage: RaceStage): Promise<void> {
  const { rounds, engines } = stage
  const bucketId = await stage.newBucket("match")
  const key = objectKeyOfText("key")
  await stage.run(0, putOf(bucketId, key, 1))
  for (let round = 0; round < rounds; round += 1) {
    const etag = must(await engines[1].ask(latest(bucketId, key)), "the object").etag
    const put = (engine: 0 | 1) => () =>
      stage.run(engine, putOf(bucketId, key, 2 + 2 * (round % 100) + engine, { ifMatch: [etag] }))
    const outcomes = await stage.race(round, put(0), put(1))
    assert.deepEqual([...outcomes].sort(), ["done", "preconditionFailed"])
  }
  const { objects, versions, bytes } = await engines[0].ask(counters(bucketId))
  assert.deepEqual([objects, versions, bytes], [1, 1, 100])
}

async function exactCounters(stage: RaceStage): Promise<void> {
  const { rounds, engines } = stage
  const bucketId = await stage.newBucket("counted")
  const keys = [0, 1, 2].map(number => objectKeyOfText(`key ${number}`))
  for (let round = 0; round < rounds; round += 1) {
    const key = must(keys[round % keys.length], "a key")
    const remove = removeLatest({ bucketId, key, conditions: {}, random: new Uint8Array(8) })
    const outcomes = await stage.race(
      round,
      () => stage.run(0, putOf(bucketId, key, 1)),
      () => (round % 3 === 0 ? stage.run(1, putOf(bucketId, key, 2)) : stage.run(1, remove)),
    )
    assert.deepEqual(outcomes, ["done", "done"])
  }
  const found = await Promise.all(keys.map(async key => engines[0].ask(latest(bucketId, key))))
  const there = found.filter(each => each !== undefined).length
  const { objects, versions, bytes } = await engines[1].ask(counters(bucketId))
  assert.deepEqual([objects, versions, bytes], [there, there, 100 * there])
}

const dropOrPut = (stage: RaceStage): Promise<void> =>
  putAndDrop(stage, async bucketId => {
    await stage.run(0, closeBucket(bucketId))
    await stage.run(0, dropBucket(bucketId))
  })

/** One request closes the bucket while another one, which has closed it before, drops it: an engine decides both at once. */
const closeAndDropOrPut = (stage: RaceStage): Promise<void> =>
  putAndDrop(stage, async bucketId => {
    const closed = stage.run(0, closeBucket(bucketId))
    closed.catch(() => undefined)
    await stage.run(0, dropBucket(bucketId))
  })

async function putAndDrop(stage: RaceStage, dropping: (bucketId: BucketId) => Promise<void>): Promise<void> {
  for (let round = 0; round < stage.rounds; round += 1) {
    const bucketId = await stage.newBucket(`dropped-${round}`)
    const key = objectKeyOfText("key")
    const drop = async () => {
      try {
        await dropping(bucketId)
      } catch (error) {
        await stage.run(0, openBucket(bucketId))
        throw error
      }
    }
    const outcomes = await stage.race(round, () => stage.run(1, putOf(bucketId, key, 1)), drop)
    const [put, dropped] = outcomes
    assert.ok((put === "done") !== (dropped === "done"), outcomes.join(" "))
    const found = await stage.engines[0].ask(latest(bucketId, key))
    assert.equal(found !== undefined, put === "done", outcomes.join(" "))
  }
}

const partsOf = query("Parts", (view, address: UploadAddress) =>
  [...partsAfter(view, address, 0)].map(({ partNumber }) => partNumber),
)

/** A part, whose bytes this engine has written. */
function partOf(address: UploadAddress, { incarnations }: Metadata, number: number) {
  const uploadId = parseUploadId(incarnations.own.toString(16).padStart(8, "0") + number.toString(16).padStart(24, "0"))
  const extent = {
    uploadId,
    part: 1,
    lengthBytes: 100,
    blockBytes: 4096,
    policy: parsePolicy("replica:2"),
    generation: 0,
    exceptions: [],
  }
  const part = { partNumber: 1, md5: new Uint8Array(16), checksumValue: undefined, extent }
  return putPart({ ...address, hints: [], part })
}

function completionOf(address: UploadAddress, completion: Completion) {
  const { version } = inlineOf(1)
  const content = { kind: "segments", multipartId: address.multipartId, completion: completion.token } as const
  const whole = { ...version, content, payload: undefined, parts: 1 }
  return completeUpload({ ...address, completion, conditions: {}, version: whole })
}

async function putPartOrEnd(stage: RaceStage): Promise<void> {
  const { engines } = stage
  const bucketId = await stage.newBucket("multipart")
  for (let round = 0; round < stage.rounds; round += 1) {
    const isCompleted = round % 2 === 0
    const random = Buffer.alloc(8)
    random.writeUInt32BE(round)
    const address = { bucketId, key: objectKeyOfText("key"), multipartId: multipartIdOf(1_000 + round, random) }
    await stage.run(0, createUpload(address, { checksum: undefined, details: NO_DETAILS, completion: undefined }))
    const completion = { incarnation: engines[0].incarnations.own, token: random }
    let frozen: readonly number[] = []
    const end = async () => {
      if (isCompleted) await stage.run(0, sealUpload(address, completion))
      else await stage.run(0, abortUpload(address))
      frozen = await engines[0].ask(partsOf(address))
    }
    const put = () => stage.run(1, partOf(address, engines[1], round + 1))
    const isEndFirst = round % 4 < 2
    const outcomes = await (isEndFirst ? stage.race(round, end, put) : stage.race(round, put, end))
    const [ended, putEnded] = isEndFirst ? outcomes : [outcomes[1], outcomes[0]]
    assert.equal(ended, "done")
    assert.ok(["done", isCompleted ? "conflict" : "noSuchUpload"].includes(putEnded), putEnded)
    assert.deepEqual(frozen, putEnded === "done" ? [1] : [], putEnded)
    assert.deepEqual(await engines[1].ask(partsOf(address)), frozen, "a part has arrived after the end")
    if (!isCompleted) continue
    const ends = await stage.race(
      round,
      () => stage.run(0, completionOf(address, completion)),
      () => stage.run(1, abortUpload(address)),
    )
    assert.deepEqual([...ends].sort(), ["done", "noSuchUpload"], ends.join(" "))
  }
  const { uploads } = await engines[1].ask(counters(bucketId))
  assert.equal(uploads, 0)
}

const identityOf = (kind: "user" | "group", name: string) =>
  createIdentity(OWNER, {
    kind,
    name,
    path: "/",
    id: name,
    tags: [],
    inline: [],
    attached: [],
    boundary: undefined,
    groups: [],
    keys: [],
    role: undefined,
  })
const found = query("Found", (view, kind: "user" | "group", name: string) =>
  findIdentity(view, { accountId: OWNER, kind, name }),
)
const foundPolicy = query("FoundPolicy", (view, arn: string) => findPolicy(view, OWNER, arn))

/** An account with one user. */
async function withUser(stage: RaceStage, name: string): Promise<void> {
  await stage.run(0, createAccount({ id: OWNER, displayName: "", email: "" }))
  await stage.run(0, identityOf("user", name))
}

async function deleteOrJoin(stage: RaceStage): Promise<void> {
  const { engines } = stage
  await withUser(stage, "Ann")
  for (let round = 0; round < stage.rounds; round += 1) {
    const name = `group${round}`
    await stage.run(round % 2 === 0 ? 0 : 1, identityOf("group", name))
    const join = joinGroup({ accountId: OWNER, kind: "user", name: "Ann" }, name)
    const remove = deleteIdentity({ accountId: OWNER, kind: "group", name })
    const outcomes = await stage.race(
      round,
      () => stage.run(0, join),
      () => stage.run(1, remove),
    )
    const user = must(await engines[0].ask(found("user", "Ann")), "the user")
    const group = await engines[1].ask(found("group", name))
    assert.equal(user.groups.includes(name), group !== undefined, outcomes.join(" "))
    assert.equal(outcomes.filter(outcome => outcome === "done").length, 1, outcomes.join(" "))
    // A user is in ten groups at most.
    if (group === undefined) continue
    await stage.run(1, leaveGroup({ accountId: OWNER, kind: "user", name: "Ann" }, name))
  }
}

async function deleteOrAttach(stage: RaceStage): Promise<void> {
  const { engines } = stage
  await withUser(stage, "Bob")
  const account = must(await engines[0].ask(accountNumber()), "the account")
  for (let round = 0; round < stage.rounds; round += 1) {
    const name = `policy${round}`
    await stage.run(0, createPolicy(OWNER, { name, path: "/", id: name, description: "", tags: [] }, "{}"))
    const arn = `arn:aws:iam::${account}:policy/${name}`
    const bob = { accountId: OWNER, kind: "user", name: "Bob" } as const
    const outcomes = await stage.race(
      round,
      () => stage.run(1, attachPolicy(bob, arn)),
      () => stage.run(0, deletePolicy(OWNER, arn)),
    )
    const user = must(await engines[0].ask(found("user", "Bob")), "the user")
    const policy = await engines[1].ask(foundPolicy(arn))
    assert.equal(user.attached.includes(arn), policy !== undefined, outcomes.join(" "))
    assert.equal(outcomes.filter(outcome => outcome === "done").length, 1, outcomes.join(" "))
    if (policy !== undefined) await stage.run(0, detachPolicy(bob, arn))
  }
}

const accountNumber = query("AccountNumber", view => {
  const [pair] = view.range("accountNumbers", hintsAll)
  return pair?.[0]
})
const hintsAll = { ...hintsOfPartition(0), end: hintsOfPartition(60_000).end }

async function recordOrClear(stage: RaceStage): Promise<void> {
  const hint = { partition: parsePartitionId(7), deviceId: parseDeviceId("00000000000000d1") }
  const read = async () => (await stage.engines[1].ask(readHints(hintsOfPartition(7), 10))).hints
  for (let round = 0; round < stage.rounds; round += 1) {
    await stage.run(0, recordHints([hint]))
    const before = await read()
    const rows = before.map(({ rowKey, value }) => ["missingShardHints", rowKey, value] as const)
    const outcomes = await stage.race(
      round,
      () => stage.run(0, recordHints([hint])),
      () => stage.run(1, dropRows(rows)),
    )
    assert.deepEqual(outcomes, ["done", "done"])
    const left = await read()
    assert.equal(left.length, 1)
    assert.notDeepEqual(left[0]?.value, before[0]?.value)
  }
}

const BODIES: Readonly<Record<string, (stage: RaceStage) => Promise<void>>> = {
  "put if absent: exactly one of two succeeds, and its object is there": putIfAbsent,
  "put if match: exactly one of two replaces what both have read": putIfMatch,
  "counters stay exact while two engines put and remove the same objects": exactCounters,
  "a bucket is dropped, or an object put into it: never both": dropOrPut,
  "a bucket is closed and dropped in one commit, or an object put into it: never both": closeAndDropOrPut,
  "a part arrives, or its upload is completed or aborted: a part that arrived is in the list, any other is refused":
    putPartOrEnd,
  "a group is deleted, or a user joins it: nobody is in a group that is gone": deleteOrJoin,
  "a policy is deleted, or attached: nothing has a policy that is gone": deleteOrAttach,
  "two engines re-encode the same bytes: one does, and no generation of needles is used twice": reencodeTwice,
  "an object is re-encoded, or removed: every needle is removed, and none twice": reencodeOrRemove,
  "a hint that is recorded while it is cleared stays": recordOrClear,
}

/** Each on an empty database. */
export const RACES = Object.entries(BODIES).map(([name, body]) => ({
  name,
  run: (settings: RaceSettings) => body(new RaceStage(settings)),
}))

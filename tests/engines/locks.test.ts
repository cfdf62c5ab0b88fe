/**
 * No command loses a lock: all commands of the source are played on versions with locks, and after each of them every
 * version that was locked is there with the lock that it had, but for the commands whose purpose is to change that.
 *
 * `kinds.test.ts` requires that each command of the source is played, so a new one is examined here too. If it writes rows
 * of locked versions, it has to be added to REWRITING: look at what it does to their locks first.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation } from "@hayloft/base/ids.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import { versionIdOfHead } from "@hayloft/engine/format/objects/version-record.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { comparable } from "./comparable.js"
import { ENCRYPT_COMMANDS } from "./encrypt-kinds.js"
import { COMMANDS } from "./kinds.js"
import { LIFECYCLE_COMMANDS } from "./lifecycle-kinds.js"
import { Scene, type ObjectName, type PlayKind } from "./scene.js"

/** Commands that change a lock, as clients ask them to. */
const LOCKING = ["SetLegalHold", "SetRetention"]
/**
 * Commands that remove versions, unless their locks forbid it. Buckets with object lock are not erased, and only they have
 * locked versions; in these histories others have some, too, and `DropErasedKey` removes those whose retention is over
 * (`erase-commands-core.test.ts` has what it refuses).
 */
const REMOVING = [
  "CommitTransaction",
  "DropErasedKey",
  "ExpireLatest",
  "ExpireNoncurrent",
  "RemoveLatest",
  "RemoveVersion",
]
/** Commands that add a version, and replace a null version that nothing locks. */
const REPLACING = [
  "CommitTransaction",
  "CompleteUpload",
  "PutDeduplicated",
  "PutVersion",
  "RenameObject",
  "RestoreVersion",
  "UndeleteObject",
]
/**
 * Commands that write the row of a locked version again: it becomes an older one or the latest one, its bytes are shared,
 * encrypted or stored elsewhere, its class, its tags, its list or its restored copy change.
 */
const REWRITING = [
  "AddSealing",
  "CommitTransaction",
  "CompleteUpload",
  "ExpireLatest",
  "PutDeduplicated",
  "PutVersion",
  "RemoveLatest",
  "RemoveVersion",

  "RenameObject",
  "RestoreArchived",
  "RestoreVersion",
  "SealPayload",
  "SetAcl",
  "SetAttributes",
  "SetStorageClass",
  "SetTags",
  "SwapExtent",
  "SwapSealed",
]
/**
 * Commands that seldom meet a locked version: undelete restores the latest version, while the locked one is older;
 * few locked versions reference the bytes of others, or get digests.
 */
const REWRITING_SELDOM = ["GiveDigests", "PackVersions", "ReplaceSource", "UndeleteObject"]

/** Rules come before the moves that they ask for, and new blocks before they replace the others. */
const NEEDED: Readonly<Record<string, readonly PlayKind[]>> = {
  SetStorageClass: LIFECYCLE_COMMANDS.filter(({ name }) => name === "SetSetting"),
  SwapSealed: ENCRYPT_COMMANDS.filter(({ name }) => name === "AddSealing" || name === "BeginReencoding"),
}

const withNeeded = (kinds: readonly PlayKind[]): readonly PlayKind[] =>
  kinds.flatMap(kind => [kind, ...(NEEDED[kind.name] ?? [])])

/** They make buckets and versions: one of six is locked. */
const FILLING = ["CreateBucket", "PutVersion"]
const isFilling = ({ name }: PlayKind): boolean => FILLING.includes(name)

const HISTORIES_MAX = 300
/** Locked versions pile up: then another store begins. */
const PLAYS_OF_A_STORE = 500
/** No clock of a history is later, and no bypass removes what is retained for longer. */
const LAST_CLOCK_MS = 9_000_000_000_000

interface LockedVersion {
  readonly of: ObjectName
  readonly lock: VersionLock
  /** Its place and its row. */
  readonly stored: string
}

function lockedVersions(scene: Scene): ReadonlyMap<string, LockedVersion> {
  const found = new Map<string, LockedVersion>()
  for (const { bucketId, key, family, rowKey, row, record } of scene.allVersions()) {
    const { lock, head } = record
    if (lock === undefined) continue
    const stored = `${family} ${rowKey} ${comparable(row.value)}`
    found.set(`${bucketId} ${key} ${versionIdOfHead(head)} ${head.order}`, { of: { bucketId, key }, lock, stored })
  }
  return found
}

const isForever = ({ retention, legalHold }: VersionLock): boolean =>
  legalHold === true || (retention?.mode === "COMPLIANCE" && retention.untilMs > LAST_CLOCK_MS)

/** A null version that was never retained, and is not held, may be replaced. */
const isReplaced = (name: string, { retention, legalHold }: VersionLock): boolean =>
  REPLACING.includes(name) && retention === undefined && legalHold !== true

/** Buckets with object lock, and whether versions are in them. */
const lockedBuckets = (scene: Scene): ReadonlySet<string> =>
  new Set(scene.buckets().flatMap(({ id, lock }) => (lock === undefined ? [] : [String(id)])))

class History {
  readonly scene: Scene
  private readonly model = new MemoryMetadata()

  constructor(seed: number) {
    const { incarnations } = this.model
    const actor = { own: incarnations.own, other: parseIncarnation(2), incarnations }
    this.scene = new Scene(this.model, new SimRandom(seed), actor, 1_700_000_000_000)
  }

  choose(kinds: readonly PlayKind[]): PlayKind {
    const total = kinds.reduce((sum, { weight }) => sum + weight, 0)
    let at = this.scene.random.below(total)
    return kinds.find(({ weight }) => (at -= weight) < 0) ?? assert.fail("a kind")
  }

  /** Returns true if the command was done. */
  async play(kind: PlayKind): Promise<boolean> {
    const { scene, model } = this
    scene.nowMs += 1
    const play = kind.make(scene)
    if (play?.kind !== "command") return false
    try {
      await model.run(play.command)
      return true
    } catch (error) {
      if (!isFailure(error) || error.kind === "internal") throw error
      return false
    }
  }
}

function check(
  name: string,
  before: ReadonlyMap<string, LockedVersion>,
  after: ReadonlyMap<string, LockedVersion>,
  rewrote: Set<string>,
): void {
  for (const [version, { lock, stored }] of before) {
    const now = after.get(version)
    if (now === undefined && LOCKING.includes(name)) {
      assert.equal(name, "SetRetention", "only a retention can be taken away completely")
      assert.ok(!isForever(lock), `${name} has taken the lock of ${version}`)
    } else if (now === undefined) {
      assert.ok(REMOVING.includes(name) || isReplaced(name, lock), `${name} has removed ${version}, or its lock`)
      assert.ok(!isForever(lock), `${name} has removed ${version}, which is locked`)
    } else {
      if (now.stored !== stored) rewrote.add(name)
      if (name === "SetAttributes" && isForever(lock)) assert.equal(now.stored, stored, "locked attributes stay")
      if (!LOCKING.includes(name)) assert.deepEqual(now.lock, lock, `${name} has changed the lock of ${version}`)
    }
  }
}

test("every command leaves the locks of versions and buckets as they are, and removes nothing that is locked", async () => {
  const [rewrote, done] = [new Set<string>(), new Set<string>()]
  const wanted = new Set([...REWRITING, ...LOCKING])
  const isLeft = ({ name }: PlayKind) => !done.has(name) || (wanted.has(name) && !rewrote.has(name))
  const isComplete = () => [...wanted].every(name => rewrote.has(name)) && COMMANDS.every(({ name }) => done.has(name))
  for (let number = 0; number < HISTORIES_MAX && !isComplete(); number += 1) {
    const history = new History(TEST_SEED + number)
    let before = lockedVersions(history.scene)
    let buckets = lockedBuckets(history.scene)
    for (let plays = 0; plays < PLAYS_OF_A_STORE; plays += 1) {
      const isSteered = plays % 3 === 0
      const wantsLocked = COMMANDS.filter(before.size === 0 ? isFilling : isLeft)
      history.scene.focus = isSteered && before.size > 0 ? history.scene.pick([...before.values()]).of : undefined
      const kind = history.choose(isSteered && wantsLocked.length > 0 ? withNeeded(wantsLocked) : COMMANDS)
      if (!(await history.play(kind))) continue
      done.add(kind.name)
      const after = lockedVersions(history.scene)
      check(kind.name, before, after, rewrote)
      const kept = lockedBuckets(history.scene)
      const gone = [...buckets].filter(id => !kept.has(id))
      if (gone.length > 0) assert.equal(kind.name, "DropBucket", `${kind.name} has turned off object lock`)
      for (const version of before.keys())
        assert.ok(!gone.includes(version.split(" ")[0] ?? ""), `a bucket was dropped with ${version}`)
      before = after
      buckets = kept
    }
  }
  for (const name of REWRITING_SELDOM) rewrote.delete(name)
  assert.deepEqual([...rewrote].sort(), [...wanted].sort())
  assert.deepEqual(
    COMMANDS.filter(({ name }) => !done.has(name)).map(({ name }) => name),
    [],
    "every command was played",
  )
})

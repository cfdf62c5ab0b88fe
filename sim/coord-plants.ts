/** Planted bugs of coordination, which tests and simulated clusters must catch. */
import type { Edit, Plant, TestedPlant } from "./plants.js"
import type { CheckName } from "./world/checks.js"

const plantCaughtBy =
  (caughtBy: string, folder = "packages/features/src/locks") =>
  (bug: string, file: string, find: string, put: string): TestedPlant => ({
    bug: `coord: ${bug}`,
    edits: [{ file: `${folder}/${file}.ts`, find, put } satisfies Edit],
    caughtBy,
  })

const plant = plantCaughtBy("packages/features/src/locks/coord")
const inRows = plantCaughtBy("packages/features/src/locks/coord", "packages/engine/src/format")
const inObjects = plantCaughtBy("packages/objects/src/fences", "packages/objects/src/commands")
const LOCKS = "lock-commands-core"
const FILES = "file-commands-core"
const WRITES = "coord-writes-core"
const SESSIONS = "session-commands-core"
const QUERIES = "coord-queries-core"
const VERSIONS = "version-commands-core"

const HOLDERS_STAY = "const holders = lock.holders.filter(each => each.session !== session)"
const WAITING_STAYS = "const waiting = lock.waiting.filter(each => each.session !== session)"
const FENCE_HOLDS = "if (lock?.mode === mode && lock.holders.some(each => each.token === token)) return undefined"
const SAME_BEAT = "before?.beat === each.beat ? before.silentMs"

export const COORD_PLANTS: readonly TestedPlant[] = [
  plant(
    "a shared waiter passes an exclusive one",
    LOCKS,
    "if (lock.waiting.length === 0 && isFreeFor(lock, mode)) {",
    "if (isFreeFor(lock, mode)) {",
  ),
  plant(
    "an exclusive lock is given to several",
    LOCKS,
    'holders.length === 0 || (mode === "shared"',
    'holders.length >= 0 || (mode === "shared"',
  ),
  plant("the end of a session leaves its place in line", LOCKS, WAITING_STAYS, "const { waiting } = lock"),
  plant("holders of a released lock stay", LOCKS, HOLDERS_STAY, "const { holders } = lock"),
  plant(
    "a lock that is released is not given to the next in line",
    LOCKS,
    "return granted({ ...lock, holders, waiting }, path, writes)",
    "return { ...lock, holders, waiting }",
  ),
  plant(
    "a lock is given to one of several that wait for it shared",
    LOCKS,
    "now = { mode: next.mode, holders: [...now.holders, holder], waiting }",
    "return { mode: next.mode, holders: [...now.holders, holder], waiting }",
  ),
  plant(
    "a request that has waited long enough gives up what it has got",
    LOCKS,
    "if (holder !== undefined && unlessHeld) return { writes: [], result: holder }",
    "void unlessHeld",
  ),
  plant("a fence holds in another mode", LOCKS, "if (lock?.mode === mode && lock.", "if (lock?.mode && lock."),
  plant(
    "a fence holds with another token",
    LOCKS,
    FENCE_HOLDS,
    "if (lock?.mode === mode && lock.holders.length > 0 * token) return undefined",
  ),
  plant(
    "a fence holds while the lock is free",
    LOCKS,
    FENCE_HOLDS,
    "if (lock === undefined || (lock.mode === mode && lock.holders.some(each => each.token === token))) return undefined",
  ),
  plant(
    "what a session gets does not write its row",
    WRITES,
    "for (const [id, session] of this.sessions)\n",
    "for (const [id, session] of [...this.sessions].slice(0, 0))\n",
  ),
  plant("a renewal changes no beat", WRITES, "beat: before.beat + 1", "beat: before.beat"),
  plant("a released lock counts as held", WRITES, "held: session.held - 1", "held: session.held"),
  plant(
    "another principal uses a session",
    WRITES,
    "if (this.by !== undefined && before.principal !== this.by)",
    'if (this.by === "")',
  ),
  plant(
    "numbers of a namespace follow the clock",
    WRITES,
    "Math.max(open.record.lastNumber + 1, this.nowMs)",
    "Math.max(1, this.nowMs)",
  ),
  plant(
    "a namespace does not remember what it has forgotten",
    WRITES,
    "forgottenNumber = numberOfCoordChange(key)",
    "numberOfCoordChange(key)",
  ),
  plant(
    "a session that was renewed meanwhile ends",
    SESSIONS,
    "session === undefined || (onlyAt !== undefined && session.beat !== onlyAt)",
    "session === undefined || onlyAt === 0",
  ),
  plant(
    "files outlive their session",
    SESSIONS,
    "if (file?.session === id) removeFile(writes, path, file)",
    "void file",
  ),
  plant(
    "a file of a session is overwritten by others",
    FILES,
    "if (there !== undefined && there.session !== session)",
    "if (there !== undefined && there.session === undefined && session !== undefined)",
  ),
  plant(
    "versions begin again after a deletion",
    FILES,
    'const version = writes.change(path, "written", added)',
    'const version = (there?.version ?? 0) + writes.change(path, "written", added) * 0 + 1',
  ),
  plant(
    "a file that others delete stays with its session",
    FILES,
    'if (there.session !== undefined) writes.letGo(there.session, { kind: "file", path })',
    "",
  ),
  plant(
    "a write does not look at its fence",
    FILES,
    "requireFence(view, conditions.fence)\n    if (there !== undefined && there.session",
    "if (there !== undefined && there.session",
  ),
  plant(
    "a deletion does not look at its fence",
    FILES,
    "requireFence(view, conditions.fence)\n    if (there === undefined) return",
    "if (there === undefined) return",
  ),
  plant(
    "forgotten changes are not reported",
    QUERIES,
    "if (after < forgottenNumber || after > lastNumber) return undefined",
    "if (after > lastNumber) return undefined",
  ),
  plant(
    "a number that the namespace has not reached has no changes",
    QUERIES,
    "if (after < forgottenNumber || after > lastNumber) return undefined",
    "if (after < forgottenNumber) return undefined",
  ),
  plant(
    "time counts as silence while the process is stopped",
    "silence-core",
    "Math.min(askedMs - this.lastAnsweredMs, COORD_LIMITS.stepMsMax)",
    "askedMs - this.lastAnsweredMs",
  ),
  plant("a session is silent although it was renewed", "silence-core", SAME_BEAT, "before ? before.silentMs"),
  plant(
    "changes by other nodes wake nothing",
    "namespace-watch",
    "else for (const { path } of found.changes) this.changed({ account, namespace, prefix: path })",
    "",
  ),
  inRows(
    "changes of a namespace mix with those of others",
    "coord-rows",
    "  end: accountRange(account, namespace).end,",
    "  end: accountRange(account).end,",
  ),
  inRows("numbers of changes are texts", "coord-rows", "u64TextOf(BigInt(number))", "number"),
  inObjects("a write of an object does not look at its fence", VERSIONS, "checkOfFeatures(view, conditions)", ""),
  inObjects(
    "the removal of a version does not look at its fence",
    VERSIONS,
    "checkOfFeatures(view, remove.conditions)",
    "",
  ),
  inObjects("new attributes do not look at their fence", VERSIONS, "checkOfFeatures(view, to.conditions)", ""),
  inObjects("a renaming does not look at its fence", "rename-core", "checkOfFeatures(view, conditions)", ""),
  inObjects(
    "a write with a fence counts as unconditional",
    "conditions-core",
    "(ifMatchSize ?? ifMatchModifiedMs) === undefined && fence === undefined",
    "(ifMatchSize ?? ifMatchModifiedMs) === undefined && fence !== null",
  ),
]

const inCluster = (bug: string, caughtBy: readonly CheckName[], ...edits: readonly Edit[]): Plant => ({
  bug: `cluster: coord: ${bug}`,
  edits,
  scenario: "cluster",
  caughtBy,
})

/** Bugs that clients of a storm must find. */
export const COORD_CLUSTER_PLANTS: readonly Plant[] = [
  inCluster("a fence holds with another token", ["fencesHold"], {
    file: "packages/features/src/locks/lock-commands-core.ts",
    find: FENCE_HOLDS,
    put: "if (lock?.mode === mode && lock.holders.length > 0 * token) return undefined",
  }),
  inCluster("the end of a session leaves its place in line", ["sessionsEnd"], {
    file: "packages/features/src/locks/lock-commands-core.ts",
    find: WAITING_STAYS,
    put: "const waiting = lock.waiting.filter(each => each.session !== session || lock.mode === each.mode)",
  }),
  inCluster(
    "sessions end although they are renewed",
    ["sessionsLast"],
    { file: "packages/features/src/locks/silence-core.ts", find: SAME_BEAT, put: "before ? before.silentMs" },
    {
      file: "packages/features/src/locks/session-commands-core.ts",
      find: "session === undefined || (onlyAt !== undefined && session.beat !== onlyAt)",
      put: "session === undefined || onlyAt === 0",
    },
  ),
  inCluster("tokens follow the clock of a node", ["tokensGrow", "fencesHold", "readsAreFresh"], {
    file: "packages/features/src/locks/coord-writes-core.ts",
    find: "Math.max(open.record.lastNumber + 1, this.nowMs)",
    put: "Math.max(1, this.nowMs)",
  }),
]

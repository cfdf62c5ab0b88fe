/** The commands and queries of coordination. */
import type { LockMode } from "@hayloft/base/fence.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { parseAccountId, parseCoordPath, parseSessionId, rowKeyOf } from "@hayloft/base/ids.js"
import type { AccountId, CoordPath, SessionId } from "@hayloft/base/ids.js"
import { deleteFile, putFile, restoreFile, type FileConditions } from "@hayloft/features/locks/file-commands-core.js"
import {
  countSessions,
  listFiles,
  listLocks,
  listNamespaces,
  listSessions,
  readBeats,
  readChanges,
  readFence,
  readFile,
  readLastNumbers,
  readLock,
  readSession,
} from "@hayloft/features/locks/coord-queries-core.js"
import { acquireLock, releaseLock } from "@hayloft/features/locks/lock-commands-core.js"
import {
  createSession,
  endSession,
  renewSession,
  type SessionOf,
} from "@hayloft/features/locks/session-commands-core.js"
import {
  decodeFile,
  decodeNamespace,
  decodeSession,
  namespaceOf,
  namespaceRowKey,
  type FileRecord,
} from "@hayloft/engine/format/coord-rows.js"
import { parseAccountRowKey } from "@hayloft/engine/format/row-key.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

/** The name of one begins as that of the other does. */
const ACCOUNTS = ["coord", "coord", "coord", "coord2"].map(parseAccountId)
const PATHS = ["jobs/a", "jobs/a", "jobs/b", "jobs/a/b", "jobs2/a"].map(parseCoordPath)
const MODES: readonly LockMode[] = ["exclusive", "exclusive", "shared"]
const PRINCIPALS = ["arn", "arn", "arn", "other"]
const GONE = parseSessionId("0f".repeat(16))

const newId = (scene: Scene): SessionId => parseSessionId(hexOf(scene.random.bytes(16)))

/** Returns who asks: mostly the store itself, or the principal that began the session. */
const byOf = (scene: Scene) => scene.pick([undefined, undefined, "arn", ...PRINCIPALS])

const sessionsOf = (scene: Scene) =>
  scene.rows("coordSessions").map(([key, row]) => {
    const { account, rest } = parseAccountRowKey(key)
    return { account, id: parseSessionId(rest), session: decodeSession(row.value) }
  })

/** One that has not ended, mostly. */
const sessionOf = (scene: Scene): SessionOf =>
  scene.pickOr<SessionOf>(sessionsOf(scene), () => ({ account: scene.pick(ACCOUNTS), id: GONE }))

/** Returns who holds a lock, or waits for it. */
const claims = (scene: Scene) =>
  scene
    .locks()
    .flatMap(({ account, path, lock: { holders, waiting } }) =>
      [...holders, ...waiting].map(({ session }) => ({ account, path, session })),
    )

interface AtFile {
  readonly account: AccountId
  readonly path: CoordPath
  readonly file: FileRecord | undefined
}

const filesOf = (scene: Scene): readonly AtFile[] =>
  scene.rows("coordFiles").map(([key, row]) => {
    const { account, rest } = parseAccountRowKey(key)
    return { account, path: parseCoordPath(rest), file: decodeFile(row.value) }
  })

const unknownFile = (scene: Scene): AtFile => ({
  account: scene.pick(ACCOUNTS),
  path: scene.pick(PATHS),
  file: undefined,
})

function conditionsOf(scene: Scene, version: number | undefined): FileConditions {
  const fence = scene.oneIn(2) ? scene.fence() : undefined
  const conditions: readonly FileConditions[] = [
    {},
    {},
    {},
    { ifVersion: version },
    { ifVersion: 1 },
    { ifExists: true },
    { ifExists: false },
  ]
  return { ...scene.pick(conditions), fence }
}

function fileWrite(scene: Scene) {
  const { account, path, file } = scene.oneIn(2)
    ? scene.pickOr(filesOf(scene), () => unknownFile(scene))
    : unknownFile(scene)
  const sessions = sessionsOf(scene).filter(each => each.account === account)
  const owner = scene.oneIn(3) && sessions.length > 0 ? scene.pick(sessions).id : undefined
  const session = scene.oneIn(4) ? owner : (file?.session ?? owner)
  const content = Buffer.alloc(scene.pick([0, 10, 3_000]), "x")
  return { account, path, content, session, conditions: conditionsOf(scene, file?.version), by: byOf(scene) }
}

export const COORD_COMMANDS: readonly PlayKind[] = [
  commandKind("CreateSession", 3, scene => {
    const of = scene.oneIn(12) ? sessionOf(scene) : { account: scene.pick(ACCOUNTS), id: newId(scene) }
    return createSession(of, { name: "n", principal: scene.pick(PRINCIPALS), leaseSeconds: 5, graceSeconds: 2 })
  }),
  commandKind("RenewSession", 2, scene => renewSession({ ...sessionOf(scene), by: byOf(scene) })),
  commandKind("EndSession", 2, scene => {
    const sessions = sessionsOf(scene)
    if (sessions.length === 0 || scene.oneIn(8)) return endSession(sessionOf(scene), scene.pick([undefined, 1]))
    const { account, id, session } = scene.pick(sessions)
    return endSession({ account, id }, scene.pick([undefined, session.beat, session.beat, session.beat - 1]))
  }),
  commandKind("AcquireLock", 5, scene => {
    const { account, id: session } = sessionOf(scene)
    const asked = { path: scene.pick(PATHS), mode: scene.pick(MODES), waits: !scene.oneIn(3), by: byOf(scene) }
    return acquireLock({ account, session, ...asked, value: scene.pick(["", "", "", "h:1"]) })
  }),
  commandKind("ReleaseLock", 3, scene => {
    const { account, id } = sessionOf(scene)
    const claim = scene.pickOr(claims(scene), () => ({ account, path: scene.pick(PATHS), session: id }))
    return releaseLock({ ...claim, by: byOf(scene) }, scene.oneIn(3))
  }),
  commandKind("PutSmallFile", 4, scene => putFile(fileWrite(scene))),
  commandKind("DeleteSmallFile", 2, scene => {
    const { account, path, file } = scene.pickOr(filesOf(scene), () => unknownFile(scene))
    return deleteFile({ account, path, conditions: conditionsOf(scene, file?.version) })
  }),
  commandKind("RestoreSmallFile", 1, scene => {
    const { account, path, file } = scene.pickOr(filesOf(scene), () => unknownFile(scene))
    return restoreFile({
      account,
      path,
      version: (file?.version ?? 5) + scene.pick([-1, 0, 1]),
      content: Buffer.from("back"),
    })
  }),
]

const afterOf = (scene: Scene) => scene.pick([undefined, undefined, ...PATHS])
const prefixOf = (scene: Scene) => scene.pick(["jobs/", "jobs/a/", "jobs2/"])

export const COORD_QUERIES: readonly PlayKind[] = [
  queryKind("ReadSession", scene => {
    const { account, id } = sessionOf(scene)
    return readSession(account, id)
  }),
  queryKind("ListSessions", scene => {
    const { account, id } = sessionOf(scene)
    return listSessions(account, scene.pick([undefined, id]), scene.pick([1, 100]))
  }),
  queryKind("CountSessions", scene => countSessions(scene.pick(ACCOUNTS))),
  queryKind("ReadBeats", () => readBeats(rowKeyOf(""))),
  queryKind("ListNamespaces", scene =>
    listNamespaces(scene.pick(ACCOUNTS), scene.pick([undefined, "jobs"]), scene.pick([1, 100])),
  ),
  queryKind("ReadLock", scene => readLock(scene.pick(ACCOUNTS), scene.pick(PATHS))),
  queryKind("ReadFence", scene => {
    const fence = scene.fence()
    return fence && readFence(fence)
  }),
  queryKind("ReadSmallFile", scene => readFile(scene.pick(ACCOUNTS), scene.pick(PATHS))),
  queryKind("ListLocks", scene =>
    listLocks(scene.pick(ACCOUNTS), prefixOf(scene), afterOf(scene), scene.pick([1, 100])),
  ),
  queryKind("ListSmallFiles", scene =>
    listFiles(scene.pick(ACCOUNTS), prefixOf(scene), afterOf(scene), scene.pick([1, 100])),
  ),
  queryKind("ReadCoordChanges", scene => {
    const [account, path] = [scene.pick(ACCOUNTS), scene.pick(PATHS)]
    const namespace = namespaceOf(path)
    const row = scene.model.committed.get("coordNamespaces", namespaceRowKey(account, namespace))
    const last = row === undefined ? 0 : decodeNamespace(row.value).lastNumber
    return readChanges(account, namespace, prefixOf(scene), scene.pick([0, last - 3, last, last + 1]))
  }),
  queryKind("ReadLastNumbers", scene =>
    readLastNumbers(ACCOUNTS.map(account => namespaceRowKey(account, namespaceOf(scene.pick(PATHS))))),
  ),
]

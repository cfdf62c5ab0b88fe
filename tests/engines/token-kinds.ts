/** The commands and queries of tokens of the admin API, of sign-outs, of its audit log, of events, and of jobs that callers start. */
import {
  createAdminToken,
  noteAdminTokenUse,
  readAdminToken,
  readAdminTokens,
  revokeAdminToken,
} from "@hayloft/access/admin-port/admin-tokens-core.js"
import {
  auditDelivered,
  beginAudit,
  dropAudit,
  endAudit,
  oldAudit,
  oldQueued,
  readAudit,
  undeliveredAudit,
} from "@hayloft/access/audit/audit-log-core.js"
import { readSignOuts, signOut } from "@hayloft/access/admin-port/sign-outs-core.js"
import { deletedSwiftAccounts, readSwiftAccount, setSwiftAccount } from "@hayloft/access/accounts/swift-accounts.js"
import { parseAdminTokenId, parseAuditId, parseEventId, parseJobId, rowKeyOf } from "@hayloft/base/ids.js"
import { encodeSwiftAccount } from "@hayloft/engine/format/swift/swift-account.js"
import type { JobRecord } from "@hayloft/engine/format/job-record.js"
import { changeJob, dropJobs, readJob, readJobs, startJob } from "@hayloft/features/user-jobs/job-commands-core.js"
import { dropEvents, noteEvents, oldEvents, readEvents } from "@hayloft/admin/observe/event-rows-core.js"
import { ACCOUNTS, commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const IDS = ["A", "B", "C"].map(letter => parseAdminTokenId(letter.repeat(12)))
const CHANGES = ["0000000000010-aaaaaaaa", "0000000000050-bbbbbbbb", "0000000000099-cccccccc"].map(parseAuditId)
const CHANGE = {
  atMs: 99,
  caller: { kind: "operator" as const, id: "", name: "", address: "" },
  requestId: "",
  operation: "o",
  target: "",
  request: undefined,
  before: undefined,
  after: undefined,
  ended: undefined,
} as const
const EVENTS = ["0000000000020-aaaaaaaa", "0000000000070-bbbbbbbb", "0000000000090-cccccccc"].map(parseEventId)
const EVENT = { atMs: 50, lastMs: 60, level: "warn", code: "request", node: "", fields: "{}" } as const
const HOLDERS = ["operator", "token a", "key b"]
const JOBS = ["a", "b"].map(letter => parseJobId(`drain-${letter.repeat(8)}`))
const JOB: JobRecord = {
  kind: "drain",
  target: "t",
  request: "",
  starter: { kind: "operator", id: "", name: "" },
  startedMs: 7,
  state: "running",
  isPaused: false,
  isCancelling: false,
  isDryRun: false,
  isCounted: false,
  cursor: "",
  step: undefined,
  rate: 0,
  failures: [],
  lastError: undefined,
  ended: undefined,
  revision: 1,
  counts: { scanned: 0, matched: 0, matchedBytes: 0, done: 0, doneBytes: 0, failed: 0 },
}
const idOf = (scene: Scene) => scene.pick(IDS)

export const TOKEN_COMMANDS: readonly PlayKind[] = [
  commandKind("CreateAdminToken", 2, scene =>
    createAdminToken({
      id: idOf(scene),
      name: "portal",
      secretHash: new Uint8Array(32).fill(7),
      scopes: scene.oneIn(2) ? ["read", "buckets"] : ["all"],
      expiresMs: scene.oneIn(2) ? 9 : undefined,
    }),
  ),
  commandKind("RevokeAdminToken", 1, scene => revokeAdminToken(idOf(scene))),
  commandKind("BeginAudit", 2, scene => beginAudit({ id: scene.pick(CHANGES), ...CHANGE })),
  commandKind("DropAudit", 1, scene => dropAudit(scene.some(CHANGES), [scene.pick([1, 2, 3])])),
  commandKind("EndAudit", 2, scene =>
    endAudit(scene.pick(CHANGES), { after: "{}", ended: { atMs: scene.pick([9, 99_999]), outcome: "done" } }),
  ),
  commandKind("AuditDelivered", 1, scene => auditDelivered(scene.pick(["file", "webhook"]), scene.pick([1, 2, 3]))),
  commandKind("SignOut", 2, scene =>
    signOut(
      scene.pick(HOLDERS),
      { id: scene.pick(["a", "b"]), issuedMs: scene.pick([1, 20, 40]) },
      { nowMs: scene.pick([40, 90]), issuedFromMs: scene.pick([10, 60]) },
    ),
  ),
  commandKind("NoteEvents", 2, scene =>
    noteEvents(scene.some(EVENTS).map(id => ({ ...EVENT, id, count: scene.pick([1, 2]) }))),
  ),
  commandKind("SetSwiftAccount", 2, scene => {
    const documents = [undefined, 5].map(deletedMs => encodeSwiftAccount({ metadata: [], access: "", deletedMs }))
    const former = scene.oneIn(2) ? undefined : scene.pick(documents)
    return setSwiftAccount(scene.pick(ACCOUNTS), former, scene.pick(documents))
  }),
  commandKind("DropEvents", 1, scene => dropEvents(scene.some(EVENTS))),
  commandKind("StartJob", 2, scene => startJob(scene.pick(JOBS), JOB)),
  commandKind("ChangeJob", 2, scene =>
    changeJob(scene.pick(JOBS), scene.pick([1, 2, 3]), {
      ...JOB,
      ended: scene.oneIn(2) ? { atMs: 9, result: "r" } : undefined,
    }),
  ),
  commandKind("DropJobs", 1, scene => dropJobs(scene.some(JOBS))),
  commandKind("NoteAdminTokenUse", 2, scene => noteAdminTokenUse(idOf(scene), scene.pick([1, 2, 3]))),
]

export const TOKEN_QUERIES: readonly PlayKind[] = [
  queryKind("ReadAdminToken", scene => readAdminToken(idOf(scene))),
  queryKind("OldQueuedAudit", scene => oldQueued(scene.pick([1, 60, 200]), 2)),
  queryKind("UndeliveredAudit", scene => undeliveredAudit(scene.pick(["file", "webhook"]), 2)),
  queryKind("ReadSignOuts", scene => readSignOuts(scene.pick(HOLDERS))),
  queryKind("OldAudit", scene => oldAudit(scene.pick([1, 60, 200]))),
  queryKind("ReadAudit", scene =>
    readAudit(
      scene.oneIn(2) ? undefined : scene.pick(CHANGES),
      2,
      scene.oneIn(2) ? {} : { operation: "o*", sinceMs: 40 },
    ),
  ),
  queryKind("ReadSwiftAccount", scene => readSwiftAccount(scene.pick(ACCOUNTS))),
  queryKind("DeletedSwiftAccounts", () => deletedSwiftAccounts(rowKeyOf(""), Infinity)),
  queryKind("OldEvents", scene => oldEvents(scene.pick([1, 60, 200]), 2)),
  queryKind("ReadEvents", scene =>
    readEvents(
      scene.oneIn(2) ? undefined : scene.pick(EVENTS),
      2,
      scene.oneIn(2) ? {} : { level: "error", sinceMs: 40 },
    ),
  ),
  queryKind("ReadJob", scene => readJob(scene.pick(JOBS))),
  queryKind("ReadJobs", () => readJobs()),
  queryKind("ReadAdminTokens", () => readAdminTokens(rowKeyOf(""))),
]

/** The commands and queries of tokens of the admin API, and of its audit log. */
import {
  createAdminToken,
  noteAdminTokenUse,
  readAdminToken,
  readAdminTokens,
  revokeAdminToken,
} from "../../src/access/admin-tokens-core.js"
import { beginAudit, dropAudit, endAudit, oldAudit, readAudit } from "../../src/access/audit-log-core.js"
import { parseAdminTokenId, parseAuditId, rowKeyOf } from "../../src/base/ids.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const IDS = ["A", "B", "C"].map(letter => parseAdminTokenId(letter.repeat(12)))
const CHANGES = ["0000000000010-aaaaaaaa", "0000000000050-bbbbbbbb", "0000000000099-cccccccc"].map(parseAuditId)
const CHANGE = {
  ...{
    atMs: 99,
    caller: { kind: "operator" as const, id: "", name: "", address: "" },
    requestId: "",
    operation: "o",
    target: "",
  },
  ...{ request: undefined, before: undefined, after: undefined, ended: undefined },
} as const
const idOf = (scene: Scene) => scene.pick(IDS)

export const TOKEN_COMMANDS: readonly PlayKind[] = [
  commandKind("CreateAdminToken", 2, scene =>
    createAdminToken({
      ...{ id: idOf(scene), name: "portal", secretHash: new Uint8Array(32).fill(7) },
      ...{ scopes: scene.oneIn(2) ? ["read", "buckets"] : ["all"], expiresMs: scene.oneIn(2) ? 9 : undefined },
    }),
  ),
  commandKind("RevokeAdminToken", 1, scene => revokeAdminToken(idOf(scene))),
  commandKind("BeginAudit", 2, scene => beginAudit({ id: scene.pick(CHANGES), ...CHANGE })),
  commandKind("DropAudit", 1, scene => dropAudit(scene.some(CHANGES))),
  commandKind("EndAudit", 2, scene =>
    endAudit(scene.pick(CHANGES), { after: "{}", ended: { atMs: 9, outcome: "done" } }),
  ),
  commandKind("NoteAdminTokenUse", 2, scene => noteAdminTokenUse(idOf(scene), scene.pick([1, 2, 3]))),
]

export const TOKEN_QUERIES: readonly PlayKind[] = [
  queryKind("ReadAdminToken", scene => readAdminToken(idOf(scene))),
  queryKind("OldAudit", scene => oldAudit(scene.pick([1, 60, 200]))),
  queryKind("ReadAudit", scene => readAudit(scene.oneIn(2) ? undefined : scene.pick(CHANGES), 2)),
  queryKind("ReadAdminTokens", () => readAdminTokens(rowKeyOf(""))),
]

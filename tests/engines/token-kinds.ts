/** The commands and queries of tokens of the admin API. */
import {
  createAdminToken,
  noteAdminTokenUse,
  readAdminToken,
  readAdminTokens,
  revokeAdminToken,
} from "../../src/access/admin-tokens-core.js"
import { parseAdminTokenId, rowKeyOf } from "../../src/base/ids.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const IDS = ["A", "B", "C"].map(letter => parseAdminTokenId(letter.repeat(12)))
const idOf = (scene: Scene) => scene.pick(IDS)

export const TOKEN_COMMANDS: readonly PlayKind[] = [
  commandKind("CreateAdminToken", 2, scene =>
    createAdminToken({
      ...{ id: idOf(scene), name: "portal", secretHash: new Uint8Array(32).fill(7) },
      ...{ scopes: scene.oneIn(2) ? ["read", "buckets"] : ["all"], expiresMs: scene.oneIn(2) ? 9 : undefined },
    }),
  ),
  commandKind("RevokeAdminToken", 1, scene => revokeAdminToken(idOf(scene))),
  commandKind("NoteAdminTokenUse", 2, scene => noteAdminTokenUse(idOf(scene), scene.pick([1, 2, 3]))),
]

export const TOKEN_QUERIES: readonly PlayKind[] = [
  queryKind("ReadAdminToken", scene => readAdminToken(idOf(scene))),
  queryKind("ReadAdminTokens", () => readAdminTokens(rowKeyOf(""))),
]

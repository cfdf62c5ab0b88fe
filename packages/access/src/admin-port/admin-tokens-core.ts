/** Commands on and queries of tokens of the admin API. Pure. */
import { fail } from "@hayloft/base/failures.js"
import { parseAdminTokenId, type AdminTokenId, type RowKey } from "@hayloft/base/ids.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import {
  decodeAdminToken,
  encodeAdminToken,
  type AdminTokenRecord,
} from "@hayloft/engine/format/accounts/admin-token.js"
import { decodeKeyUse, encodeKeyUse, type KeyUseRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query, type RowView } from "@hayloft/engine/metadata/index.js"
import { readPage, type RecordPage } from "../accounts/record-pages-core.js"
import { SKEW_MS_MAX } from "../signing/skew.js"

/** Tokens of one store. */
export const ADMIN_TOKENS_MAX = 1_000

export type AdminToken = AdminTokenRecord & { readonly id: AdminTokenId }

/** No access key has an id like this. */
const useRow = (id: AdminTokenId): RowKey => textRowKey(`admin token ${id}`)

function findToken(view: RowView, id: AdminTokenId): AdminToken | undefined {
  const row = view.get("adminTokens", textRowKey(id))
  return row && { id, ...decodeAdminToken(row.value) }
}

/** Throws `limitExceeded`, and `conflict` if there is such an id. */
export const createAdminToken = command<[token: Omit<AdminToken, "createdMs">], AdminToken>({
  name: "CreateAdminToken",
  touches: ({ id }) => [["adminTokens", textRowKey(id)]],
  decide(view, { nowMs }, { id, ...token }) {
    if (findToken(view, id) !== undefined) throw fail("conflict")
    let count = 0
    for (const _row of view.range("adminTokens", ALL_ROWS)) count += 1
    if (count >= ADMIN_TOKENS_MAX) {
      throw fail("limitExceeded", { message: `the store has ${ADMIN_TOKENS_MAX} tokens: revoke some` })
    }
    const record = { ...token, createdMs: nowMs }
    const writes = [{ family: "adminTokens", key: textRowKey(id), value: encodeAdminToken(record) }] as const
    return { writes, result: { id, ...record } }
  },
})

/** Throws `noSuchEntity`. */
export const revokeAdminToken = command<[id: AdminTokenId], AdminToken>({
  name: "RevokeAdminToken",
  // A full store must be able to refuse a token.
  grows: false,
  touches: id => [
    ["adminTokens", textRowKey(id)],
    ["keyUses", useRow(id)],
  ],
  decide(view, _time, id) {
    const token = findToken(view, id)
    if (token === undefined) throw fail("noSuchEntity", { message: `there is no token ${id}` })
    const use = view.get("keyUses", useRow(id))
    return {
      writes: [
        { family: "adminTokens", key: textRowKey(id), value: undefined },
        ...(use === undefined ? [] : [{ family: "keyUses", key: useRow(id), value: undefined } as const]),
      ],
      result: token,
    }
  },
})

/** Records the last use of a token; that of a revoked one is dropped. */
export const noteAdminTokenUse = command<[id: AdminTokenId, usedMs: number], void>({
  name: "NoteAdminTokenUse",
  touches: id => [
    ["adminTokens", textRowKey(id)],
    ["keyUses", useRow(id)],
  ],
  decide(view, _time, id, usedMs) {
    const token = view.get("adminTokens", textRowKey(id))
    if (token === undefined) return { writes: [], result: undefined }
    const row = view.get("keyUses", useRow(id))
    // A much later use was noted while the clock was ahead.
    const aheadMs = row === undefined ? -1 : decodeKeyUse(row.value).usedMs - usedMs
    if (aheadMs >= 0 && aheadMs <= SKEW_MS_MAX) return { writes: [], result: undefined }
    const use: KeyUseRecord = { usedMs, service: "admin", region: "" }
    const noted = { family: "keyUses", key: useRow(id), value: encodeKeyUse(use) } as const
    if (row !== undefined) return { writes: [noted], result: undefined }
    // The token's row as well: a revocation that has seen no use is then decided again, and removes this one.
    return { writes: [{ family: "adminTokens", key: textRowKey(id), value: token.value }, noted], result: undefined }
  },
})

export const readAdminToken = query("ReadAdminToken", (view, id: AdminTokenId) => findToken(view, id))

interface ListedToken extends AdminToken {
  readonly usedMs: number | undefined
}

export const readAdminTokens = query("ReadAdminTokens", (view, start: RowKey): RecordPage<ListedToken> =>
  readPage(view, "adminTokens", ALL_ROWS, start, (key, value) => {
    const id = parseAdminTokenId(key)
    const use = view.get("keyUses", useRow(id))
    return { id, ...decodeAdminToken(value), usedMs: use && decodeKeyUse(use.value).usedMs }
  }),
)

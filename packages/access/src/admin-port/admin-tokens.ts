/**
 * Tokens of the admin API: who may do what there, until when.
 *
 * A token is `hlt_ID_SECRET`; the store has only a hash of the secret. It is shown once, when it is made.
 *
 * Promises  A revoked or expired token is refused by the next request, on every node. The last use of a token is known to a
 *           quarter of an hour.
 * Limits    `ADMIN_TOKENS_MAX`; as many are cached, of which none outlives a change of accounts, keys or tokens.
 */
import { fail } from "@hayloft/base/failures.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { parseAdminTokenId, type AdminTokenId } from "@hayloft/base/ids.js"
import type { TokenScope } from "@hayloft/engine/format/accounts/admin-token.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import {
  ADMIN_TOKENS_MAX,
  createAdminToken,
  noteAdminTokenUse,
  readAdminToken,
  readAdminTokens,
  revokeAdminToken,
  type AdminToken,
} from "./admin-tokens-core.js"
import type { Directory } from "../accounts/directory.js"
import { DirectoryCache } from "../accounts/directory-cache.js"
import { KEY_LETTERS, randomSecret, randomText } from "../accounts/random-ids.js"

const ID_LETTERS = 12
const TOKEN = /^hlt_([A-Z2-7]{12})_([A-Za-z0-9]{40})$/
const NOTE_EVERY_MS = 15 * 60_000

/** Returns true if a text looks like a token, which need not exist. */
export const isAdminToken = (text: string): boolean => TOKEN.test(text)

/** A token as it is shown: without its hash. */
export interface ShownAdminToken {
  readonly id: AdminTokenId
  readonly name: string
  readonly scopes: readonly TokenScope[]
  readonly createdMs: number
  readonly expiresMs: number | undefined
  /** The time is undefined if the token was never used. */
  readonly usedMs: number | undefined
}

/** A token whose secret is still to be proved. */
interface NamedAdminToken {
  readonly id: AdminTokenId
  /** Returns undefined if the text has another secret. */
  prove(): ShownAdminToken | undefined
}

interface NewAdminToken {
  readonly name: string
  readonly scopes: readonly TokenScope[]
  readonly expiresMs: number | undefined
}

export class AdminTokens {
  private readonly random: Random
  private readonly known: DirectoryCache<AdminTokenId, AdminToken>
  private readonly notedMs = new Map<AdminTokenId, number>()

  constructor(
    private readonly clock: Pick<Clock, "wallMs">,
    random: Random,
    private readonly directory: Directory,
    /** Resolves once the devices refuse releases that do not know tokens. */
    private readonly prepare: () => Promise<void>,
  ) {
    this.random = random.fork("admin tokens")
    this.known = new DirectoryCache(directory, ADMIN_TOKENS_MAX)
  }

  /** Throws `invalidArgument`, `limitExceeded`. */
  async create({ name, scopes, expiresMs }: NewAdminToken): Promise<{ token: ShownAdminToken; text: string }> {
    if (expiresMs !== undefined && expiresMs <= this.clock.wallMs()) {
      throw fail("invalidArgument", { message: "the token would be expired already" })
    }
    await this.prepare()
    const id = parseAdminTokenId(randomText(this.random, KEY_LETTERS, ID_LETTERS))
    const secret = randomSecret(this.random)
    const token = { id, name, scopes: [...new Set(scopes)], expiresMs, secretHash: hashOf(secret) }
    const created = await this.directory.change(createAdminToken(token))
    return { token: shown({ ...created, usedMs: undefined }), text: `hlt_${id}_${secret}` }
  }

  async list(): Promise<readonly ShownAdminToken[]> {
    const tokens: ShownAdminToken[] = []
    for await (const page of this.directory.pages(ALL_ROWS.start, readAdminTokens)) {
      for (const token of page)
        tokens.push(shown({ ...token, usedMs: later(this.notedMs.get(token.id), token.usedMs) }))
    }
    return tokens
  }

  /** Throws `noSuchEntity`. */
  async revoke(id: AdminTokenId): Promise<void> {
    await this.directory.change(revokeAdminToken(id))
    this.notedMs.delete(id)
  }

  /** The token that this text names; undefined if it names none, or one that does not exist or has expired. */
  async named(text: string): Promise<NamedAdminToken | undefined> {
    const [, id = "", secret = ""] = TOKEN.exec(text) ?? []
    const token = secret === "" ? undefined : await this.read(parseAdminTokenId(id))
    if (token === undefined || this.hasExpired(token)) return undefined
    // The hashes of guesses tell nothing about that of the secret: comparing them may take different times.
    const prove = () => (equalBytes(token.secretHash, hashOf(secret)) ? this.use(token) : undefined)
    return { id: token.id, prove }
  }

  /** The token with this id, for a session that rests on it; undefined if it does not exist or has expired. */
  async find(id: AdminTokenId): Promise<ShownAdminToken | undefined> {
    const token = await this.read(id)
    return token === undefined || this.hasExpired(token) ? undefined : this.use(token)
  }

  private hasExpired({ expiresMs }: AdminToken): boolean {
    return expiresMs !== undefined && this.clock.wallMs() >= expiresMs
  }

  private use(token: AdminToken): ShownAdminToken {
    const nowMs = this.clock.wallMs()
    this.note(token.id, nowMs)
    return shown({ ...token, usedMs: nowMs })
  }

  private async read(id: AdminTokenId): Promise<AdminToken | undefined> {
    await this.directory.confirm()
    const known = this.known.get(id)
    if (known !== undefined) return known
    const { generation } = this.directory
    const token = await this.directory.ask(readAdminToken(id))
    if (token !== undefined) this.known.keep(id, token, generation)
    return token
  }

  private note(id: AdminTokenId, nowMs: number): void {
    const notedMs = this.notedMs.get(id) ?? -Infinity
    // A use that is much earlier than the noted one follows a clock that was ahead: it is noted instead.
    if (Math.abs(nowMs - notedMs) < NOTE_EVERY_MS) return
    this.notedMs.set(id, nowMs)
    // A use that cannot be written is lost: no decision depends on it.
    this.directory.note(noteAdminTokenUse(id, nowMs)).catch(() => undefined)
  }
}

const later = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.max(a, b)

const hashOf = (secret: string): Uint8Array =>
  Buffer.from(digestOnce("sha256", Buffer.from(secret, "latin1"), "hex"), "hex")

const shown = ({ id, name, scopes, createdMs, expiresMs, usedMs }: ShownAdminToken): ShownAdminToken => ({
  id,
  name,
  scopes,
  createdMs,
  expiresMs,
  usedMs,
})

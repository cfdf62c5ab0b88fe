/**
 * MinIO's admin API in the thread of the engine: opens the body of a call, has an operation of our admin API do it, and seals the
 * answer.
 *
 * Promises  Who may do what, and what the audit log says, is decided by our operations: a policy may name their actions, or
 *           MinIO's action of the call, and what it denies of either is denied. What nothing here means the same as is refused by name, with what to do instead.
 */
import type { AdminApi, ForeignCall } from "@hayloft/admin/index.js"
import type { Keyring, KnownAccessKey } from "@hayloft/access/index.js"
import { asFailure, fail } from "@hayloft/base/failures.js"
import { parseAccessKeyId, type AccountId } from "@hayloft/base/ids.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { asPromise } from "@hayloft/base/soon.js"
import { MinioContext } from "./call-context.js"
import { MINIO_CALLS, minioActionOf, type MinioOperation } from "./calls.js"
import type { MinioAdmin, MinioAnswer, MinioCall } from "./contract.js"
import { errorBody, minioErrorOf } from "./failures-core.js"
import { messageOf } from "./refused.js"
import { openSealed, SEALED_START, sealed, type Argon2id } from "./sealed.js"

interface AdminParts {
  readonly api: Pick<AdminApi, "call" | "checkCaller">
  readonly accounts: Pick<Keyring, "secretOf">
  readonly rootAccount: AccountId
  readonly rootKey: string
  readonly storeId: () => string
  readonly clock: Pick<Clock, "wallMs">
  readonly random: Pick<Random, "bytes">
  readonly argon2id: Argon2id
}

const JSON_TYPE = "application/json"

function isPieces(value: unknown): value is AsyncIterable<Uint8Array> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value
}

export class EngineMinioAdmin implements MinioAdmin {
  constructor(private readonly parts: AdminParts) {}

  async handle(call: MinioCall, signal: AbortSignal): Promise<MinioAnswer> {
    const place = { failedIn: "" }
    try {
      return await this.answer(call, signal, place)
    } catch (error) {
      return refusalOf(error, call, place.failedIn)
    }
  }

  private async answer(call: MinioCall, signal: AbortSignal, place: { failedIn: string }): Promise<MinioAnswer> {
    const operation = MINIO_CALLS.get(`${call.method} ${call.path}`)
    const caller = await this.callerOf(call)
    if (operation === undefined) throw fail("notImplemented", { message: messageOf(call.path, call.rawQuery) })
    const context = await this.contextOf(call, operation, caller, signal)
    try {
      return await this.made(operation, caller, await operation.run(context))
    } catch (error) {
      place.failedIn = context.failedIn
      throw error
    }
  }

  /** Throws `invalidAccessKey`, `invalidToken`, `tokenExpired`. */
  private async callerOf({ accessKeyId, sessionToken }: MinioCall): Promise<KnownAccessKey> {
    const { accounts, clock } = this.parts
    const id = parseAccessKeyId(accessKeyId)
    const key = await asPromise(() => accounts.secretOf(id, sessionToken, clock.wallMs()))
    if (key === undefined) throw fail("invalidAccessKey", { accessKeyId })
    return key
  }

  private async contextOf(
    call: MinioCall,
    { action, sealed: isSealed, needs }: MinioOperation,
    caller: KnownAccessKey,
    signal: AbortSignal,
  ): Promise<MinioContext> {
    const { api, rootAccount: account, rootKey, clock, random, argon2id } = this.parts
    const { sessionToken, host } = call
    const storeId = this.parts.storeId()
    const holderOf = (key: KnownAccessKey): ForeignCall["holder"] => ({ kind: "principal", key, sessionToken })
    const again = async () => holderOf(await this.callerOf(call))
    const other = { name: minioActionOf({ action }), isEnough: true }
    const terms = { holder: holderOf(caller), head: headOf(call), signal, again, other }
    const query = new URLSearchParams(call.rawQuery)
    // Those who may do nothing of it would keep others from having their requests opened.
    if (needs !== undefined) await api.checkCaller(needs, terms)
    const isOpened = isSealed === "request" || isSealed === "both"
    const body = isOpened ? await openSealed(call.body, caller.secret, argon2id) : call.body
    return new MinioContext({
      api,
      terms,
      caller,
      query,
      body,
      account,
      rootKey,
      storeId,
      host,
      random,
      nowMs: clock.wallMs(),
    })
  }

  private async made(
    { sealed: isSealed, status = 200 }: MinioOperation,
    { secret }: KnownAccessKey,
    result: unknown,
  ): Promise<MinioAnswer> {
    const { random, argon2id } = this.parts
    const empty = { status, contentType: JSON_TYPE, body: Buffer.alloc(0) }
    if (result === undefined) return empty
    if (isPieces(result)) return { ...empty, stream: result }
    const body = Buffer.from(JSON.stringify(result))
    if (isSealed !== "answer" && isSealed !== "both") return { ...empty, body }
    const { saltBytes, nonceBytes } = SEALED_START
    const start = { salt: random.bytes(saltBytes), nonce: random.bytes(nonceBytes) }
    return { ...empty, contentType: "application/octet-stream", body: await sealed(body, secret, start, argon2id) }
  }
}

const headOf = ({ method, path, isEncrypted, from, userAgent, referer, host }: MinioCall): ForeignCall["head"] => {
  const headers = new Map([
    ["user-agent", userAgent],
    ["referer", referer],
    ["host", host],
  ])
  return { method, rawTarget: `/minio/admin/v3/${path}`, isEncrypted, from, header: name => headers.get(name) }
}

/** Throws what is no failure of the caller. */
function refusalOf(error: unknown, { path, from }: MinioCall, failedIn: string): MinioAnswer {
  const failure = asFailure(error)
  if (failure.kind === "internal") throw error
  const shown = minioErrorOf(failure, failedIn)
  const body = errorBody(shown, `/minio/admin/v3/${path}`, from.requestId)
  const noted = { code: shown.code, kind: failure.kind, reason: failure.message }
  return { status: shown.status, contentType: JSON_TYPE, body, failure: noted }
}

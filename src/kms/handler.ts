/**
 * KMS over HTTP: JSON in, JSON out, with the operation in a header.
 *
 * Promises  The order of checks: the signature over the whole body, the operation's name, its members' names, the
 *           caller's and the key's policies; only then is anything read or changed. Neither plaintexts nor ciphertexts
 *           are logged.
 * Limits    A body of `BODY_BYTES_MAX`; the region of a signature does not matter.
 * Source    "AWS JSON 1.1 protocol", Smithy.
 */
import {
  sha256Hex,
  SignedCallers,
  type AuditLog,
  type Denials,
  type Keyring,
  type KnownKey,
  type ProvesSecrets,
  type RateLimiter,
  type SignedCaller,
} from "../access/index.js"
import { asFailure } from "../base/failures.js"
import { KIB } from "../base/limits.js"
import { readBody, type Exchange, type PlainAnswer, type Protocol, type Refusal } from "../http/index.js"
import type { Clock } from "../seams/clock/contract.js"
import { auditedOperation } from "./audit-operations.js"
import { kmsErrorOf, KmsRefusal, type KmsError } from "./failures.js"
import { Input } from "./input.js"
import { Call, type KmsServices, type Operation, type Result } from "./operation.js"
import { findOperation } from "./operations.js"
import { contextOf } from "./request-context.js"
import { operationOf } from "./speaks-kms.js"

const BODY_BYTES_MAX = 64 * KIB
const SERVICE = "kms"

interface KmsSettings extends KmsServices {
  readonly accounts: Keyring
  readonly clock: Clock
  /** Records denied requests, so that the operator can have them explained. */
  readonly denials: Denials
  /** Applies the limits of accounts and keys. */
  readonly rates: Pick<RateLimiter, "enter">
  /** Limits attempts with a wrong secret. */
  readonly attempts: ProvesSecrets
  /** Records changes of keys, their policies and aliases. */
  readonly audit: Pick<AuditLog, "begin">
}

/** A request as far as it has been parsed. */
interface Request {
  readonly exchange: Exchange
  readonly name: string
  readonly nowMs: number
  key?: KnownKey
}

export const createKmsHandler = (settings: KmsSettings): Protocol => new KmsHandler(settings)

class KmsHandler implements Protocol {
  private readonly callers: SignedCallers

  constructor(private readonly settings: KmsSettings) {
    this.callers = new SignedCallers(settings)
  }

  async handle(exchange: Exchange): Promise<void> {
    const request: Request = { exchange, name: operationOf(exchange) ?? "", nowMs: this.settings.clock.wallMs() }
    try {
      await exchange.respond(answerOf(200, exchange.requestId, await this.resultOf(request)))
    } catch (error) {
      const failure = asFailure(error)
      if (exchange.answered || failure.kind === "internal") throw error
      const answer = kmsErrorOf(failure)
      const { name: operation, nowMs, key } = request
      this.callers.noteRefusal(exchange, { service: SERVICE, operation, nowMs, key, answer }, failure)
      await exchange.respond(errorAnswer(answer, exchange.requestId))
    }
  }

  refuse({ requestId, failure, status }: Refusal): PlainAnswer {
    const error = kmsErrorOf(failure)
    return errorAnswer(status === undefined ? error : { ...error, status }, requestId)
  }

  private async resultOf(request: Request): Promise<Result> {
    const { exchange, nowMs } = request
    const body = await readBody(exchange, BODY_BYTES_MAX)
    const { key, signedRegion: region } = await exchange.timing.measure("auth", () => this.signerOf(request, body))
    const operation = supported(request.name)
    exchange.note({ operation: `${SERVICE}:${request.name}` })
    const input = Input.parse(Buffer.from(body).toString())
    input.checkKnown(operation.members)
    const { keys, policies, accounts, random } = this.settings
    const tags = operation.members.includes("Tags") ? input.tags("Tags") : []
    const tagKeys = operation.members.includes("TagKeys") ? input.texts("TagKeys") : []
    const caller = {
      ...{ principal: key.principal, policies: key.policies, nowMs },
      context: contextOf({ exchange, region, tags, tagKeys }),
    }
    await keys.confirm()
    const call = new Call({ keys, policies, accounts, random }, request.name, input, caller)
    const { requestId, remoteAddress } = exchange
    return auditedOperation(this.settings.audit, { requestId, remoteAddress, keyId: key.id }, call, operation)
  }

  /** Throws as `SignedCallers`. */
  private async signerOf(request: Request, body: Uint8Array): Promise<SignedCaller> {
    const { exchange, nowMs } = request
    const rules = { service: SERVICE, region: undefined, bodySha256: sha256Hex(body) }
    const caller = await this.callers.admit(exchange, rules, nowMs, key => (request.key = key))
    if (caller !== undefined) return caller
    throw new KmsRefusal("MissingAuthenticationTokenException", "Request is missing Authentication Token")
  }
}

/** Throws `UnknownOperationException`, `UnsupportedOperationException`. */
function supported(name: string): Operation {
  const found = findOperation(name)
  if (found === undefined) throw new KmsRefusal("UnknownOperationException", `There is no operation ${name}.`)
  if (found !== "refused") return found
  throw new KmsRefusal("UnsupportedOperationException", `The operation ${name} is not supported.`)
}

const answerOf = (status: number, requestId: string, result: Result): PlainAnswer => ({
  status,
  headers: ["x-amzn-RequestId", requestId, "Content-Type", "application/x-amz-json-1.1"],
  body: Buffer.from(result === undefined ? "" : JSON.stringify(result)),
})

const errorAnswer = ({ code, status, message }: KmsError, requestId: string): PlainAnswer =>
  answerOf(status, requestId, { __type: code, message })

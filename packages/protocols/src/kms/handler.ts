/**
 * KMS over HTTP: JSON in, JSON out, with the operation in a header.
 *
 * Promises  The order of checks: the signature over the whole body, the operation's name, its members' names, the
 *           caller's and the key's policies; only then is anything read or changed. Neither plaintexts nor ciphertexts
 *           are logged.
 * Limits    A body of `BODY_BYTES_MAX`; the region of a signature does not matter.
 * Source    "AWS JSON 1.1 protocol", Smithy.
 */
import type { AuditLog } from "@hayloft/access/index.js"
import type { Failure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import type { Exchange, PlainAnswer, Protocol } from "../http/index.js"
import {
  SignedFrame,
  type AdmittedRequest,
  type FrameSettings,
  type FailedRequest,
  type Route,
  type SignedProtocol,
} from "../signed/index.js"
import { auditedOperation } from "./audit-operations.js"
import { kmsErrorOf, KmsRefusal, type KmsError } from "./failures.js"
import { KmsInput } from "./input.js"
import { KmsCall, type KmsServices, type KmsOperation, type KmsResult } from "./operation.js"
import { findOperation } from "./operations.js"
import { kmsContextOf } from "./request-context.js"
import { operationOf } from "./speaks-kms.js"

const BODY_BYTES_MAX = 64 * KIB
const SERVICE = "kms"

interface KmsSettings extends KmsServices, FrameSettings {
  readonly accounts: FrameSettings["accounts"]
  /** Records changes of keys, their policies and aliases. */
  readonly audit: Pick<AuditLog, "begin">
}

interface KmsRoute extends Route {
  /** The name of the operation that the client sends. */
  readonly name: string
}

export const createKmsHandler = (settings: KmsSettings): Protocol => new SignedFrame(settings, new Kms(settings))

class Kms implements SignedProtocol<KmsRoute, KmsError> {
  readonly region = undefined

  constructor(private readonly settings: KmsSettings) {}

  serviceOf(): string {
    return SERVICE
  }

  bodyBytesMax(): number {
    return BODY_BYTES_MAX
  }

  route(exchange: Exchange): KmsRoute {
    const name = operationOf(exchange) ?? ""
    return { name, operation: findOperation(name) === undefined ? "" : name }
  }

  guestOf(): never {
    throw new KmsRefusal("MissingAuthenticationTokenException", "Request is missing Authentication Token")
  }

  async perform({ exchange, nowMs, route, body, sender }: AdmittedRequest<KmsRoute, never>): Promise<PlainAnswer> {
    const { key, signedRegion: region } = sender
    const operation = supported(route.name)
    const input = KmsInput.parse(Buffer.from(body).toString())
    input.checkKnown(operation.members)
    const { keys, policies, accounts, random } = this.settings
    const tags = operation.members.includes("Tags") ? input.tags() : []
    const tagKeys = operation.members.includes("TagKeys") ? input.texts("TagKeys") : []
    const caller = {
      principal: key.principal,
      policies: key.policies,
      nowMs,
      context: kmsContextOf({ exchange, region, tags, tagKeys }),
    }
    await keys.confirm()
    const call = new KmsCall({ keys, policies, accounts, random }, route.name, input, caller)
    const { requestId, remoteAddress } = exchange
    const result = await auditedOperation(
      this.settings.audit,
      { requestId, remoteAddress, keyId: key.id },
      call,
      operation,
    )
    return answerOf(200, requestId, result)
  }

  errorOf(failure: Failure): KmsError {
    return kmsErrorOf(failure)
  }

  errorAnswer({ code, status, message }: KmsError, { requestId }: FailedRequest<KmsRoute>): PlainAnswer {
    return answerOf(status, requestId, { __type: code, message })
  }
}

/** Throws `UnknownOperationException`, `UnsupportedOperationException`. */
function supported(name: string): KmsOperation {
  const found = findOperation(name)
  if (found === undefined) throw new KmsRefusal("UnknownOperationException", `There is no operation ${name}.`)
  if (found !== "refused") return found
  throw new KmsRefusal("UnsupportedOperationException", `The operation ${name} is not supported.`)
}

const answerOf = (status: number, requestId: string, result: KmsResult): PlainAnswer => ({
  status,
  headers: ["x-amzn-RequestId", requestId, "Content-Type", "application/x-amz-json-1.1"],
  body: Buffer.from(result === undefined ? "" : JSON.stringify(result)),
})

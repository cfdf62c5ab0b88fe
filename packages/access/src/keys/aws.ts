/**
 * Keys in AWS KMS, or in a service that speaks its API.
 *
 * Promises  The encryption context is AWS's own, so that its key policies, grants and CloudTrail see it.
 * Source    "GenerateDataKey", "Decrypt" and "Common errors", AWS KMS API Reference.
 */
import { sha256Hex, signRequest } from "../index.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { PostAnswer, WebServices } from "@hayloft/base/seams/web/contract.js"
import { credentialsOf, type AwsCredentials } from "./aws-credentials-core.js"
import type { EncryptionContext } from "./encryption-context.js"
import type { KeyProvider, DataKey, ProviderKey } from "./provider.js"
import { bytesMember, isThrottle, isTrouble, jsonOf, malformedAnswer, reasonOf, textMember } from "./service-answer.js"
import type { Attempt, ServiceCalls } from "./service-calls.js"
import type { ServiceFile } from "./service-file.js"
import { KMS_LIMITS } from "./service-limits.js"

const DATA_KEY_BYTES = 32

export interface AwsSettings {
  /** Without a path. */
  readonly endpoint: string
  readonly region: string
  readonly credentialsFile: string
}

type Action = "GenerateDataKey" | "Decrypt"

interface AwsSeams {
  readonly web: WebServices
  readonly clock: Clock
}

export class AwsKeys implements KeyProvider {
  constructor(
    private readonly settings: AwsSettings,
    private readonly credentials: ServiceFile,
    private readonly seams: AwsSeams,
    private readonly calls: ServiceCalls,
  ) {}

  newDataKey({ name }: ProviderKey, context: EncryptionContext): Promise<DataKey> {
    const body = { KeyId: name, KeySpec: "AES_256", ...membersOf({ EncryptionContext: context }) }
    return this.call("GenerateDataKey", body, json => {
      const [plain, ciphertext] = [bytesMember(json, "Plaintext"), bytesMember(json, "CiphertextBlob")]
      return plain?.length === DATA_KEY_BYTES && ciphertext !== undefined ? { plain, ciphertext } : undefined
    })
  }

  open({ name }: ProviderKey, ciphertext: Uint8Array, context: EncryptionContext): Promise<Uint8Array> {
    const body = { KeyId: name, CiphertextBlob: base64(ciphertext), ...membersOf({ EncryptionContext: context }) }
    return this.call("Decrypt", body, json => bytesMember(json, "Plaintext"))
  }

  /** `read`: undefined if the answer lacks something. */
  private call<T>(action: Action, members: object, read: (json: unknown) => T | undefined): Promise<T> {
    const body = Buffer.from(JSON.stringify(members))
    return this.calls.call(async signal => {
      const text = await this.credentials.text()
      const answer = await this.post(action, body, credentialsOf(text, this.credentials.path), signal)
      if (!isRefusal(answer)) return attemptOf(answer, read)
      // The credentials may have been renewed since they were read.
      const renewed = await this.credentials.text(true)
      if (renewed === text) return attemptOf(answer, read)
      return attemptOf(await this.post(action, body, credentialsOf(renewed, this.credentials.path), signal), read)
    })
  }

  private post(
    action: Action,
    body: Uint8Array,
    { accessKeyId, secret, sessionToken }: AwsCredentials,
    signal: AbortSignal,
  ): Promise<PostAnswer> {
    const { endpoint, region } = this.settings
    const { web, clock } = this.seams
    const rawHeaders = [
      "host",
      new URL(endpoint).host,
      "content-type",
      "application/x-amz-json-1.1",
      "x-amz-target",
      `TrentService.${action}`,
      ...(sessionToken === undefined ? [] : ["x-amz-security-token", sessionToken]),
    ]
    const call = { method: "POST", rawTarget: "/", rawHeaders } as const
    const signer = { accessKeyId, secret, region, service: "kms" }
    const headers = headersOf(signRequest(call, sha256Hex(body), signer, clock.wallMs()).rawHeaders)
    return web.post({ url: `${endpoint}/`, headers, body, authorities: undefined }, KMS_LIMITS.answerBytesMax, signal)
  }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")

/** Contexts as objects; empty ones are left out. */
const membersOf = (contexts: Readonly<Record<string, EncryptionContext>>): object =>
  Object.fromEntries(
    Object.entries(contexts).flatMap(([name, context]) =>
      context.length === 0 ? [] : [[name, Object.fromEntries(context)]],
    ),
  )

function headersOf(rawHeaders: readonly string[]): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (let i = 0; i + 1 < rawHeaders.length; i += 2)
    headers[(rawHeaders[i] ?? "").toLowerCase()] = rawHeaders[i + 1] ?? ""
  return headers
}

/** By code, as the "Exception" or "#" around it varies. */
const REFUSALS: ReadonlySet<string> = new Set([
  "AccessDenied",
  "UnrecognizedClient",
  "InvalidSignature",
  "SignatureDoesNotMatch",
  "IncompleteSignature",
  "InvalidClientTokenId",
  "MissingAuthenticationToken",
  "ExpiredToken",
  "RequestExpired",
  "OptInRequired",
  "NotAuthorized",
  "InvalidAccessKeyId",
])
const THROTTLES: ReadonlySet<string> = new Set([
  "Throttling",
  "TooManyRequests",
  "LimitExceeded",
  "RequestLimitExceeded",
])

/** `NotFound` of `NotFoundException` and `com.amazonaws.kms#NotFoundException`. */
const codeOf = (answer: PostAnswer): string =>
  (textMember(jsonOf(answer), "__type") ?? "").replace(/^.*#/, "").replace(/Exception$/, "")

const isRefusal = (answer: PostAnswer): boolean => answer.status !== 200 && REFUSALS.has(codeOf(answer))

function attemptOf<T>(answer: PostAnswer, read: (json: unknown) => T | undefined): Attempt<T> {
  const json = jsonOf(answer)
  const { status } = answer
  if (status === 200) {
    const value = read(json)
    return value === undefined ? malformedAnswer("key or ciphertext") : { kind: "answered", value }
  }
  const code = codeOf(answer)
  const said = textMember(json, "message") ?? textMember(json, "Message") ?? ""
  const reason = reasonOf(answer, [code, said].filter(text => text !== "").join(": "))
  if (REFUSALS.has(code)) return { kind: "refused", reason }
  if (THROTTLES.has(code) || isThrottle(status)) return { kind: "throttled" }
  const failure = failureOf(code)
  if (failure !== undefined) throw failure
  if (isTrouble(status) || code === "") return { kind: "unreachable", reason }
  throw fail("kmsKeyState", { message: "AWS KMS does not allow this with the key", reason })
}

/**
 * Returns what the service says of the key or of the ciphertext, whatever the status; undefined if it speaks of
 * neither.
 */
function failureOf(code: string): Failure | undefined {
  switch (code) {
    case "NotFound":
    case "InvalidArn":
      return fail("noSuchKmsKey", { message: "AWS KMS has no such key" })
    case "Disabled":
      return fail("kmsKeyDisabled")
    case "InvalidCiphertext":
    case "IncorrectKey":
      return fail("invalidCiphertext")
    // With status 500, for a key of a custom key store that is not connected: other keys work.
    case "KeyUnavailable":
      return fail("keyServiceUnavailable", { message: "AWS KMS says that the key is not available" })
    default:
      return undefined
  }
}

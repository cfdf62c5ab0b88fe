/**
 * A stand-in for AWS KMS: its JSON protocol, keys with states, and signatures, which are verified by an implementation of
 * their own, so that a fault of the program's signing is not repeated here.
 * Source  AWS KMS API Reference; "Create a signed AWS API request", IAM User Guide.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from "node:crypto"
import type { PostAnswer, PostRequest } from "@hayloft/base/seams/web/contract.js"
import { jsonAnswer, StandIn } from "./stand-in.js"

const SKEW_MS = 5 * 60_000
const NONCE_BYTES = 12
const TAG_BYTES = 16

type KeyState = "Enabled" | "Disabled" | "PendingDeletion"

const refused = (type: string, message: string | null, status = 400): PostAnswer =>
  jsonAnswer(status, { __type: type, message })

export class AwsStandIn extends StandIn {
  private readonly keys = new Map<string, { readonly bytes: Uint8Array; state: KeyState }>()
  credentials: { accessKeyId: string; secret: string; sessionToken: string | undefined } = {
    accessKeyId: "AKIDEXAMPLE",
    secret: "example/secret",
    sessionToken: undefined,
  }
  readonly region = "eu-north-1"

  constructor(private readonly nowMs: () => number) {
    super()
  }

  /** Returns its ARN. */
  addKey(id: string): string {
    const arn = `arn:aws:kms:${this.region}:111122223333:key/${id}`
    this.keys.set(arn, { bytes: randomBytes(32), state: "Enabled" })
    return arn
  }

  setState(arn: string, state: KeyState): void {
    const key = this.keys.get(arn)
    if (key !== undefined) key.state = state
  }

  protected work(request: PostRequest): PostAnswer {
    const wrong = this.wrongSignature(request)
    if (wrong !== undefined) return wrong
    if (request.headers["content-type"] !== "application/x-amz-json-1.1") return refused("SerializationException", null)
    const members = membersOf(JSON.parse(Buffer.from(request.body).toString()))
    switch (request.headers["x-amz-target"]) {
      case "TrentService.GenerateDataKey":
        return this.generate(members)
      case "TrentService.Decrypt":
        return this.decrypt(members)
      default:
        return refused("UnknownOperationException", null)
    }
  }

  private generate(members: ReadonlyMap<string, unknown>): PostAnswer {
    const arn = textIn(members, "KeyId")
    const wrong = this.wrongKey(arn)
    if (wrong !== undefined) return wrong
    if (members.get("KeySpec") !== "AES_256") return refused("ValidationException", "KeySpec")
    const plain = randomBytes(32)
    const sealed = this.seal(arn, plain, members.get("EncryptionContext"))
    return jsonAnswer(200, { KeyId: arn, Plaintext: plain.toString("base64"), CiphertextBlob: sealed })
  }

  private decrypt(members: ReadonlyMap<string, unknown>): PostAnswer {
    const arn = textIn(members, "KeyId")
    const wrong = this.wrongKey(arn)
    if (wrong !== undefined) return wrong
    const plain = this.unseal(arn, textIn(members, "CiphertextBlob"), members.get("EncryptionContext"))
    if (plain === undefined) return refused("InvalidCiphertextException", null)
    return jsonAnswer(200, {
      KeyId: arn,
      Plaintext: plain.toString("base64"),
      EncryptionAlgorithm: "SYMMETRIC_DEFAULT",
    })
  }

  private wrongKey(arn: string): PostAnswer | undefined {
    const key = this.keys.get(arn)
    if (key === undefined) return refused("NotFoundException", `Key '${arn}' does not exist`)
    if (key.state === "Disabled") return refused("DisabledException", `${arn} is disabled.`)
    return key.state === "Enabled" ? undefined : refused("KMSInvalidStateException", `${arn} is pending deletion.`)
  }

  private seal(arn: string, plain: Uint8Array, context: unknown): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv("aes-256-gcm", this.keys.get(arn)?.bytes ?? "", nonce).setAAD(boundTo(arn, context))
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString("base64")
  }

  private unseal(arn: string, sealed: string, context: unknown): Buffer | undefined {
    const bytes = Buffer.from(sealed, "base64")
    const end = bytes.length - TAG_BYTES
    if (end < NONCE_BYTES) return undefined
    const key = this.keys.get(arn)?.bytes ?? ""
    const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, NONCE_BYTES)).setAAD(boundTo(arn, context))
    decipher.setAuthTag(bytes.subarray(end))
    const plain = decipher.update(bytes.subarray(NONCE_BYTES, end))
    try {
      decipher.final()
      return plain
    } catch {
      return undefined
    }
  }

  private wrongSignature({ url, headers, body }: PostRequest): PostAnswer | undefined {
    const form =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)$/
    const [, accessKeyId, day = "", region = "", service = "", names = "", signature] =
      form.exec(headers["authorization"] ?? "") ?? []
    const { credentials } = this
    if (accessKeyId === undefined) return refused("MissingAuthenticationTokenException", "Missing token")
    if (accessKeyId !== credentials.accessKeyId || headers["x-amz-security-token"] !== credentials.sessionToken)
      return refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    const date = headers["x-amz-date"] ?? ""
    const dateMs = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"))
    const isTimely = Math.abs(dateMs - this.nowMs()) <= SKEW_MS && date.startsWith(day)
    const isForUs = region === this.region && service === "kms" && names.split(";").includes("x-amz-target")
    if (!isTimely || !isForUs) return refused("InvalidSignatureException", "Credential should be scoped correctly.")
    const lines = names.split(";").map(name => `${name}:${(headers[name] ?? "").trim()}\n`)
    const bodyHash = createHash("sha256").update(body).digest("hex")
    const canonical = `POST\n${new URL(url).pathname}\n\n${lines.join("")}\n${names}\n${bodyHash}`
    const scope = `${day}/${region}/${service}/aws4_request`
    const text = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${createHash("sha256").update(canonical).digest("hex")}`
    const hmac = (key: string | Uint8Array, part: string) => createHmac("sha256", key).update(part).digest()
    const signing = [day, region, service, "aws4_request"].reduce<string | Uint8Array>(
      hmac,
      `AWS4${credentials.secret}`,
    )
    if (hmac(signing, text).toString("hex") === signature) return undefined
    return refused("InvalidSignatureException", "The request signature we calculated does not match.")
  }
}

/** The same for contexts whose pairs are in another order. */
const boundTo = (arn: string, context: unknown): Uint8Array =>
  Buffer.from(JSON.stringify([arn, [...membersOf(context)].sort(([a], [b]) => (a < b ? -1 : 1))]))

const membersOf = (value: unknown): ReadonlyMap<string, unknown> =>
  new Map<string, unknown>(typeof value === "object" && value !== null ? Object.entries(value) : [])

function textIn(members: ReadonlyMap<string, unknown>, name: string): string {
  const text = members.get(name)
  return typeof text === "string" ? text : ""
}

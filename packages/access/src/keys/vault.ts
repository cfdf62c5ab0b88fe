/**
 * Keys in the transit engine of Vault (or OpenBao), which encrypts and decrypts and never tells the key.
 *
 * Promises  A ciphertext opens only with the context that it was made with: what Vault encrypts ends with the context's
 *           SHA-256. `datakey/plaintext` is not used, because nothing would bind its key to a context; nor is
 *           `associated_data`, which versions that do not know it ignore.
 * Source    "Transit secrets engine (API)" and "HTTP API", Vault documentation.
 */
import { createHash } from "node:crypto"
import { concatBytes, equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { PostAnswer, WebServices } from "@hayloft/base/seams/web/contract.js"
import { bytesOfContext, type EncryptionContext } from "./encryption-context.js"
import type { KeyProvider, DataKey, ProviderKey } from "./provider.js"
import { bytesMember, isThrottle, isTrouble, jsonOf, malformedAnswer, reasonOf, textMember } from "./service-answer.js"
import type { Attempt, ServiceCalls } from "./service-calls.js"
import type { ServiceFile } from "./service-file.js"
import { KMS_LIMITS } from "./service-limits.js"
import { jsonMember } from "@hayloft/base/json.js"

const DATA_KEY_BYTES = 32
const HASH_BYTES = 32

export interface VaultSettings {
  /** Without a path. */
  readonly url: string
  readonly tokenFile: string
  /** Path of the transit engine. */
  readonly mount: string
  readonly namespace: string | undefined
  readonly authoritiesFile: string | undefined
}

interface VaultFiles {
  readonly token: ServiceFile
  readonly authorities: ServiceFile | undefined
}

type Operation = "encrypt" | "decrypt"

export class VaultKeys implements KeyProvider {
  constructor(
    private readonly settings: VaultSettings,
    private readonly files: VaultFiles,
    private readonly web: WebServices,
    private readonly random: Random,
    private readonly calls: ServiceCalls,
  ) {}

  async newDataKey(key: ProviderKey, context: EncryptionContext): Promise<DataKey> {
    const plain = this.random.bytes(DATA_KEY_BYTES)
    return { plain, ciphertext: await this.encrypt(key, plain, context) }
  }

  async open(key: ProviderKey, ciphertext: Uint8Array, context: EncryptionContext): Promise<Uint8Array> {
    const text = Buffer.from(ciphertext).toString("latin1")
    const sealed = await this.calls.call(signal => this.attempt("decrypt", key, { ciphertext: text }, signal))
    const hashAt = sealed.length - HASH_BYTES
    if (hashAt < 0 || !equalBytes(sealed.subarray(hashAt), hashOf(context))) throw fail("invalidCiphertext")
    return sealed.slice(0, hashAt)
  }

  private encrypt(key: ProviderKey, content: Uint8Array, context: EncryptionContext): Promise<Uint8Array> {
    const plaintext = Buffer.from(concatBytes([content, hashOf(context)])).toString("base64")
    return this.calls.call(signal => this.attempt("encrypt", key, { plaintext }, signal))
  }

  private async attempt(
    operation: Operation,
    { name }: ProviderKey,
    body: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Attempt<Uint8Array>> {
    const token = (await this.files.token.text()).trim()
    const answer = await this.post(operation, name, body, token, signal)
    if (answer.status !== 403) return attemptOf(operation, name, answer)
    // The token may have been renewed since it was read.
    const renewed = (await this.files.token.text(true)).trim()
    const again = renewed === token ? answer : await this.post(operation, name, body, renewed, signal)
    return attemptOf(operation, name, again)
  }

  private async post(
    operation: Operation,
    name: string,
    body: Readonly<Record<string, string>>,
    token: string,
    signal: AbortSignal,
  ): Promise<PostAnswer> {
    const { url, mount, namespace } = this.settings
    const path = [...mount.split("/"), operation, name].map(encodeURIComponent).join("/")
    const headers = {
      "content-type": "application/json",
      "x-vault-request": "true",
      "x-vault-token": token,
      ...(namespace !== undefined && { "x-vault-namespace": namespace }),
    }
    const authorities = await this.files.authorities?.text()
    const request = { url: `${url}/v1/${path}`, headers, body: Buffer.from(JSON.stringify(body)), authorities }
    return this.web.post(request, KMS_LIMITS.answerBytesMax, signal)
  }
}

const hashOf = (context: EncryptionContext): Uint8Array => createHash("sha256").update(bytesOfContext(context)).digest()

/** Ciphertexts are texts, `vault:v1:…`; they are kept as bytes. */
function attemptOf(operation: Operation, name: string, answer: PostAnswer): Attempt<Uint8Array> {
  const json = jsonOf(answer)
  if (answer.status === 200) {
    const data = jsonMember(json, "data")
    if (operation === "decrypt") {
      const value = bytesMember(data, "plaintext")
      return value === undefined ? malformedAnswer("plaintext") : { kind: "answered", value }
    }
    const text = textMember(data, "ciphertext")
    if (text?.startsWith("vault:") !== true) return malformedAnswer("ciphertext")
    return { kind: "answered", value: Buffer.from(text, "latin1") }
  }
  const errors = jsonMember(json, "errors")
  const said = Array.isArray(errors) ? errors.join("; ") : ""
  const reason = reasonOf(answer, said)
  if (answer.status === 403) return { kind: "refused", reason }
  if (isThrottle(answer.status)) return { kind: "throttled" }
  const isRequestsFault = answer.status === 400 || answer.status === 404
  if (isTrouble(answer.status) || !isRequestsFault) return { kind: "unreachable", reason }
  if (answer.status === 404 || /key not found/i.test(said))
    throw fail("noSuchKmsKey", { message: `Vault has no transit key ${name}` })
  if (operation === "decrypt") throw fail("invalidCiphertext")
  throw fail("kmsKeyState", { message: `Vault does not encrypt with the key ${name}`, reason })
}

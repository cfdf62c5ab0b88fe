/**
 * A stand-in for Vault's transit engine: paths, headers, answers and errors as Vault has them.
 * Source  "Transit secrets engine (API)", Vault documentation; errors as Vault 1.15 words them.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto"
import type { PostAnswer, PostRequest } from "@hayloft/base/seams/web/contract.js"
import { jsonAnswer, StandIn, textsOf } from "./stand-in.js"

const TAG_BYTES = 16
const NONCE_BYTES = 12

const errors = (status: number, ...said: readonly string[]): PostAnswer => jsonAnswer(status, { errors: said })

export class VaultStandIn extends StandIn {
  /** Key bytes by name. */
  private readonly keys = new Map<string, Uint8Array>()
  token = "hvs.first"
  isSealed = false

  constructor(
    private readonly mount = "transit",
    private readonly namespace: string | undefined = undefined,
  ) {
    super()
  }

  addKey(name: string): void {
    this.keys.set(name, randomBytes(32))
  }

  removeKey(name: string): void {
    this.keys.delete(name)
  }

  protected work({ url, headers, body }: PostRequest): PostAnswer {
    if (this.isSealed) return errors(503, "Vault is sealed")
    if (headers["x-vault-token"] !== this.token || headers["x-vault-namespace"] !== this.namespace)
      return errors(403, "permission denied")
    const path = decodeURIComponent(new URL(url).pathname)
    const [, operation, name = ""] = new RegExp(`^/v1/${this.mount}/(encrypt|decrypt)/([^/]+)$`).exec(path) ?? []
    if (operation === undefined) return errors(404, `no handler for route "${path.slice(4)}"`)
    const texts = textsOf(body)
    return operation === "encrypt" ? this.encrypt(name, texts) : this.decrypt(name, texts)
  }

  private encrypt(name: string, texts: ReadonlyMap<string, string>): PostAnswer {
    const key = this.keys.get(name)
    // A token without the capability "create" cannot make keys by using them.
    if (key === undefined) return errors(403, "1 error occurred:\n\t* permission denied\n\n")
    const plaintext = texts.get("plaintext")
    if (plaintext === undefined) return errors(400, "missing plaintext to encrypt")
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv("aes-256-gcm", key, nonce)
    const sealed = Buffer.concat([nonce, cipher.update(Buffer.from(plaintext, "base64")), cipher.final()])
    const ciphertext = `vault:v1:${Buffer.concat([sealed, cipher.getAuthTag()]).toString("base64")}`
    return jsonAnswer(200, { request_id: "1", lease_id: "", data: { ciphertext, key_version: 1 } })
  }

  private decrypt(name: string, texts: ReadonlyMap<string, string>): PostAnswer {
    const key = this.keys.get(name)
    if (key === undefined) return errors(400, "encryption key not found")
    const [, base64 = ""] = /^vault:v1:(.+)$/.exec(texts.get("ciphertext") ?? "") ?? []
    const bytes = Buffer.from(base64, "base64")
    if (bytes.length < NONCE_BYTES + TAG_BYTES) return errors(400, "invalid ciphertext: no prefix")
    const end = bytes.length - TAG_BYTES
    const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, NONCE_BYTES))
    decipher.setAuthTag(bytes.subarray(end))
    const plain = decipher.update(bytes.subarray(NONCE_BYTES, end))
    try {
      decipher.final()
    } catch {
      return errors(400, "cipher: message authentication failed")
    }
    return jsonAnswer(200, { request_id: "1", lease_id: "", data: { plaintext: plain.toString("base64") } })
  }
}

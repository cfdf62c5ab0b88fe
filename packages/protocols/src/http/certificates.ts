/**
 * The certificate of a TLS server, read again when its files change.
 *
 * Promises  A pair that cannot be used (one file is newer than the other, or half written) changes
 *           nothing: the previous pair stays in use until a valid one is found.
 * Limits    `FILE_BYTES_MAX` a file.
 */
import { X509Certificate } from "node:crypto"
import { createSecureContext, type SecureContext } from "node:tls"
import { fail } from "@hayloft/base/failures.js"
import { concatBytes, equalBytes } from "@hayloft/base/bytes.js"
import { MIB } from "@hayloft/base/limits.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"

const FILE_BYTES_MAX = 1 * MIB

interface CertificatePaths {
  /** PEM: the certificate, then its chain. */
  readonly certificatePath: string
  /** PEM, not encrypted. */
  readonly keyPath: string
}

export interface CertificatePair {
  readonly cert: Buffer
  readonly key: Buffer
}

/** The source of a server's certificates. */
export interface CertificateSource {
  /** The pair for clients that name no other, if it has changed since the last call. Once removed, they are refused. */
  readIfChanged(): Promise<CertificatePair | "removed" | undefined>
  /** For a client that names the server (SNI); undefined: its handshake fails. */
  contextOf?(serverName: string): SecureContext | undefined
}

export class Certificates implements CertificateSource {
  private loaded: Uint8Array = new Uint8Array()
  private pair: CertificatePair | undefined
  /** When the certificate in use expires. */
  expiresMs: number | undefined

  constructor(
    private readonly disk: Disk,
    private readonly paths: CertificatePaths,
  ) {}

  /**
   * The pair, if the files have changed since the last read. Throws `invalidConfig` for a pair that cannot
   * be used, and `deviceFailed` if a file cannot be read.
   */
  async readIfChanged(): Promise<CertificatePair | undefined> {
    const cert = await this.read(this.paths.certificatePath)
    const key = await this.read(this.paths.keyPath)
    const both = concatBytes([cert, key])
    if (equalBytes(both, this.loaded)) return undefined
    const pair = { cert: Buffer.from(cert), key: Buffer.from(key) }
    try {
      createSecureContext(pair)
    } catch (error) {
      const { certificatePath, keyPath } = this.paths
      const reason = error instanceof Error ? error.message : String(error)
      const message = `the certificate ${certificatePath} and the key ${keyPath} cannot be used: ${reason}`
      throw fail("invalidConfig", { ...this.paths, message }, error)
    }
    this.loaded = both
    this.pair = pair
    this.expiresMs = Date.parse(new X509Certificate(cert).validTo)
    return pair
  }

  /** The certificate for one of several servers: each of them is told of every change. */
  ofServer(): CertificateSource {
    let told: CertificatePair | undefined
    const readIfChanged = async (): Promise<CertificatePair | undefined> => {
      await this.readIfChanged()
      if (this.pair === told) return undefined
      told = this.pair
      return told
    }
    return { readIfChanged }
  }

  private async read(path: string): Promise<Uint8Array> {
    const file = await this.disk.open(path, "read")
    try {
      const lengthBytes = await file.sizeBytes()
      if (lengthBytes > FILE_BYTES_MAX)
        throw fail("invalidConfig", { path, message: "the file is too large for a certificate or key" })
      const bytes = new Uint8Array(lengthBytes)
      return bytes.subarray(0, await file.read(bytes, 0))
    } finally {
      await file.close()
    }
  }
}

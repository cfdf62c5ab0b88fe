/**
 * A folder of certificates, one for each name that clients may ask for (SNI, RFC 6066 section 3).
 *
 * `NAME.pem` has the certificate with its chain, `NAME.key` its key; `_.example.org.pem` is for all names one level below
 * `example.org` (RFC 6125, 6.4.3), `default.pem` for all others. Without a default their handshakes
 * fail. Names are in lower case.
 *
 * Promises  New, changed and removed pairs take effect while the server runs. A pair that cannot be used (one file is newer
 *           than the other, or half written) changes nothing until it can.
 * Limits    FOLDER_LIMITS; further names are left out, in alphabetical order, and the log says so.
 */
import { createSecureContext, type SecureContext } from "node:tls"
import { asFailure, fail } from "@hayloft/base/failures.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { Certificates, type CertificatePair, type CertificateSource } from "./certificates.js"

const FOLDER_LIMITS = {
  namesMax: 1_000,
  /** Known pairs that are read again in one pass. */
  readAgainMax: 20,
} as const
const DEFAULT = "default"

interface Known {
  readonly files: Certificates
  context: SecureContext | undefined
}

export class CertificateFolder implements CertificateSource {
  private readonly known = new Map<string, Known>()
  private readonly reported = new Set<string>()
  private next = 0

  constructor(
    private readonly disk: Disk,
    private readonly folder: string,
    private readonly log: Log,
  ) {}

  /** Throws `invalidConfig` if there is no such folder, or it cannot be read. */
  async check(): Promise<void> {
    await this.files()
  }

  /** Looks for changes of the default pair, and of others. Throws as `check`. */
  async readIfChanged(): Promise<CertificatePair | "removed" | undefined> {
    const names = await this.names()
    let pair: CertificatePair | "removed" | undefined
    for (const name of this.known.keys()) {
      if (names.has(name)) continue
      this.known.delete(name)
      if (name === DEFAULT) pair = "removed"
    }
    for (const name of this.due([...names])) {
      const changed = await this.read(name)
      if (name === DEFAULT) pair = changed
    }
    return pair
  }

  contextOf(serverName: string): SecureContext | undefined {
    const name = serverName.toLowerCase()
    const dot = name.indexOf(".")
    const wildcard = dot < 0 ? undefined : this.known.get(`_${name.slice(dot)}`)?.context
    return this.known.get(name)?.context ?? wildcard ?? this.known.get(DEFAULT)?.context
  }

  /** When the certificates in use expire, by their files. */
  get expiries(): readonly (readonly [file: string, expiresMs: number])[] {
    return Array.from(this.known).flatMap(
      ([
        name,
        {
          files: { expiresMs },
        },
      ]) => (expiresMs === undefined ? [] : [[`${this.folder}/${name}.pem`, expiresMs] as const]),
    )
  }

  private async files(): Promise<ReadonlySet<string>> {
    try {
      return new Set(await this.disk.list(this.folder))
    } catch (error) {
      const { code } = asFailure(error).details
      const reason = code === "ENOENT" ? "does not exist" : `cannot be read (${String(code)})`
      throw fail("invalidConfig", { message: `the folder of certificates ${this.folder} ${reason}` }, error)
    }
  }

  /** Returns the names of the pairs in the folder; the default comes first. */
  private async names(): Promise<ReadonlySet<string>> {
    const files = await this.files()
    const paired = [...files].filter(file => file.endsWith(".pem") && files.has(`${file.slice(0, -4)}.key`))
    const found = paired.map(file => file.slice(0, -4))
    const unusable = found.filter(name => name !== name.toLowerCase())
    for (const name of unusable) this.report(name, "names of files are compared in lower case: rename it")
    const all = found
      .filter(name => name === name.toLowerCase())
      .sort((a, b) => Number(b === DEFAULT) - Number(a === DEFAULT) || (a < b ? -1 : 1))
    const names = all.slice(0, FOLDER_LIMITS.namesMax)
    if (all.length > names.length) this.report("too many", `only the first ${names.length} of ${all.length} are used`)
    return new Set(names)
  }

  /** Returns the names that are new, the default, and the next of the others. */
  private due(names: readonly string[]): readonly string[] {
    const fresh = names.filter(name => name === DEFAULT || !this.known.has(name))
    const old = names.filter(name => name !== DEFAULT && this.known.has(name))
    const again = Array.from({ length: Math.min(FOLDER_LIMITS.readAgainMax, old.length) }, (_, i) => {
      const name = old[(this.next + i) % old.length]
      return name ?? DEFAULT
    })
    this.next = old.length === 0 ? 0 : (this.next + again.length) % old.length
    return [...fresh, ...again]
  }

  private async read(name: string): Promise<CertificatePair | undefined> {
    const path = `${this.folder}/${name}`
    const known = this.known.get(name) ?? {
      files: new Certificates(this.disk, { certificatePath: `${path}.pem`, keyPath: `${path}.key` }),
      context: undefined,
    }
    this.known.set(name, known)
    try {
      const pair = await known.files.readIfChanged()
      if (pair !== undefined) known.context = createSecureContext({ ...pair, minVersion: "TLSv1.2" })
      this.reported.delete(name)
      return pair
    } catch (error) {
      this.report(name, asFailure(error).message)
      return undefined
    }
  }

  /** Once for each name. */
  private report(name: string, reason: string): void {
    if (this.reported.has(name) || this.reported.size > FOLDER_LIMITS.namesMax) return
    this.reported.add(name)
    this.log.warn("certificate_load_failed", { folder: this.folder, name, reason })
  }
}

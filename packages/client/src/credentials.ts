/**
 * Credentials for access to a store: its two addresses, a key pair and the admin token.
 *
 * A running server (which writes the `runtime` file), the data folder (which holds the sealed secrets) and the command
 * line share these types.
 */

/** Full access for the root of a store on this machine. Holds secrets: never logged. */
export interface StoreCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly region: string
  /** Like `http://127.0.0.1:9000`; of the running server, otherwise of its last start. */
  readonly endpoint: string
  readonly adminEndpoint: string
  readonly adminToken: string
  /** PEM file with the certificate of the server; absent without TLS. */
  readonly certificateFile?: string
}

/** The file `runtime` in each data folder, in JSON, written by a started server; nothing in it is secret. */
export interface RuntimeFile {
  readonly endpoint: string
  readonly adminEndpoint: string
  readonly region: string
  readonly pid: number
  /** PEM file with the certificate of the endpoints that begin with `https:`. */
  readonly certificateFile?: string
}

export const RUNTIME_FILE_NAME = "runtime"

/** Returns undefined for anything but a runtime file. */
export function parseRuntimeFile(text: string): RuntimeFile | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== "object" || value === null) return undefined
    const { endpoint, adminEndpoint, region, pid } = { endpoint: "", adminEndpoint: "", region: "", pid: 0, ...value }
    const texts = [endpoint, adminEndpoint, region]
    if (texts.some(text => typeof text !== "string" || text === "") || typeof pid !== "number") return undefined
    const file = "certificateFile" in value ? value.certificateFile : undefined
    return { endpoint, adminEndpoint, region, pid, ...(typeof file === "string" ? { certificateFile: file } : {}) }
  } catch {
    return undefined
  }
}

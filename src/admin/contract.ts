/** The services and options that the admin API requires from the program that starts it. */
import type { AccountId } from "../base/ids.js"
import type { SettingDocuments } from "../object/contract.js"

/** The project's documentation, as the admin port serves it. */
export interface Documents {
  /** Names such as `install.md` or `recipes/restic.md`, sorted. */
  list(): Promise<readonly string[]>
  /** Undefined if there is no such document. Reads only names in `list`. */
  read(name: string): Promise<Uint8Array | undefined>
}

export interface AdminOptions {
  readonly version: string
  /** Bearer token of `/v1` (and of `/metrics` off loopback). */
  readonly token: string
  /** The port listens on loopback only: `/metrics` needs no token. */
  readonly onLoopback: boolean
  /** Default owner of new buckets; its keys include the root key. */
  readonly rootAccount: AccountId
  /** The initial settings of new buckets. */
  readonly newBucketSettings: SettingDocuments
  /** Prometheus text, rendered when scraped. */
  readonly metricsText: () => string
}

/** What the admin API needs from the program that starts it. */
import type { AccountId } from "../base/ids.js"
import type { SettingDocuments } from "../object/contract.js"

/** The project's documentation, as the admin port shows it. */
export interface Documents {
  /** Names such as `install.md` or `recipes/restic.md`, sorted. */
  list(): Promise<readonly string[]>
  /** Undefined: no such document. Names not in `list` are never looked for. */
  read(name: string): Promise<Uint8Array | undefined>
}

export interface AdminOptions {
  readonly version: string
  /** Bearer token of `/v1` (and of `/metrics` off loopback). */
  readonly token: string
  /** Listening on loopback only: `/metrics` asks for no token. */
  readonly onLoopback: boolean
  /** Owner of buckets made without one; its keys include the root key. */
  readonly rootAccount: AccountId
  /** What a bucket that is made here begins with. */
  readonly newBucketSettings: SettingDocuments
  /** Prometheus text, rendered when scraped. */
  readonly metricsText: () => string
}

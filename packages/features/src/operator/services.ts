/** The services that operations of features use, beside those of the features themselves. */
import type { Accounts } from "@hayloft/access/contract.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { Bucket, Buckets } from "@hayloft/objects/contract.js"
import type { JobsOfOperators } from "./jobs.js"

/** Settings of buckets as JSON, by their names: the documents of S3. */
export interface BucketDocuments {
  readonly names: readonly string[]
  canRemove(name: string): boolean
  /** The action that access policies must allow: `s3:PutBucketPolicy`. Throws `invalidArgument`. */
  actionOf(name: string, method: "GET" | "PUT" | "DELETE"): string
  /** Returns undefined if the bucket has none. */
  get(bucket: Bucket, name: string): Promise<Readonly<Record<string, unknown>> | undefined>
  put(bucket: Bucket, name: string, value: Readonly<Record<string, unknown>>): Promise<void>
  remove(bucket: Bucket, name: string): Promise<void>
  /** Lifecycle rules as the store keeps them. Throws what S3 says of them. */
  lifecycleRules(value: Readonly<Record<string, unknown>>): string
}

export interface OperatorServices {
  /** The core on which the features were started: the key by which an operation finds the services of its own feature. */
  readonly core: object
  readonly accounts: Pick<Accounts, "getAccount" | "listAccounts">
  readonly buckets: Buckets
  readonly bucketDocuments: BucketDocuments
  readonly startedJobs: JobsOfOperators
  readonly rootAccount: AccountId
  /** In ARNs. */
  readonly region: string
}

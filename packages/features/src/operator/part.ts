/** The part of a feature that operators see. */
import type { Bucket } from "@hayloft/objects/contract.js"
import type { z } from "zod"
import type { Feature } from "@hayloft/objects/door/index.js"
import type { CommandOf } from "./command.js"
import type { RowJobs } from "./jobs.js"
import type { Operation } from "./operation.js"
import type { OperatorServices } from "./services.js"
import type { BUCKET_SETTING } from "./setting-schemas.js"
import type { StatusPart } from "./status.js"

type Value = Readonly<Record<string, unknown>>

/** A setting of buckets that S3 does not have, in JSON. */
export interface BucketSetting {
  /** The actions that access policies must allow. */
  readonly actions: Readonly<Record<"GET" | "PUT" | "DELETE", string>>
  get(services: OperatorServices, bucket: Bucket): Promise<Value | undefined>
  /** Throws `invalidArgument`, `invalidRequest`. */
  put(services: OperatorServices, bucket: Bucket, value: Value): Promise<unknown>
  remove(services: OperatorServices, bucket: Bucket): Promise<unknown>
}

/** A setting of a bucket, as the admin API shows it. */
export type ShownSetting = z.output<typeof BUCKET_SETTING>

/** Commands that show, set or remove a setting of a bucket; each sends the name of the `setting`. */
export interface SettingCommands {
  readonly get?: readonly CommandOf<ShownSetting>[]
  readonly put?: readonly CommandOf<ShownSetting>[]
  readonly remove?: readonly CommandOf<undefined>[]
}

export interface OperatorPart {
  readonly operations?: readonly Operation[]
  /** Groups of commands of the command line, each with a line of help. */
  readonly commandGroups?: Readonly<Record<string, string>>
  /** By their names. */
  readonly bucketSettings?: Readonly<Record<string, BucketSetting>>
  /** For a setting that S3 has, too. */
  readonly settingCommands?: SettingCommands
  readonly rowJobs?: readonly RowJobs[]
}

/** A feature of the product: its part in the core of the store, and the part that operators see. */
export interface ProductFeature extends Feature {
  readonly operator?: OperatorPart
  readonly status?: StatusPart
}

/**
 * The features of the product, and the services of those that others use.
 *
 * Promises  They are installed when this file is loaded. Whatever decides on objects, or starts their services, loads it.
 */
import type { CoreServices } from "@hayloft/objects/index.js"
import { installedFeatures, installFeatures, jobsOfFeatures } from "@hayloft/objects/door/index.js"
import type {
  BucketSetting,
  Operation,
  ProductFeature,
  RowJobs,
  SettingCommands,
  StatusPart,
} from "./operator/index.js"
import type { BucketSettingName } from "@hayloft/engine/format/records.js"
import { APPENDS, appendsOf, type Appends } from "./appends/index.js"
import { COPIES } from "./copies/index.js"
import { DEDUP } from "./dedup/index.js"
import { HOT_COPIES_FEATURE } from "./hot-copies/index.js"
import { HISTORY, historyOf, type Histories, type MomentService } from "./history/index.js"
import { ITEMS, itemsOf, type Items } from "./items/index.js"
import { LIFECYCLE, lifecycleOf, type Lifecycle } from "./lifecycle/index.js"
import { LOCKS } from "./locks/index.js"
import { PACKING } from "./packing/index.js"
import { QUEUES } from "./queues/index.js"
import { QUOTAS, quotasOf, type Quotas } from "./quotas/index.js"
import { REMOTE_BUCKETS } from "./remote-buckets/index.js"
import { classesOf, STORAGE_CLASSES_FEATURE, type Archives, type StorageClasses } from "./storage-classes/index.js"
import { TRANSACTIONS, transactionsOf, type Transactions } from "./transactions/index.js"
import { TRANSFORMS_FEATURE } from "./transforms/index.js"
import { USER_JOBS } from "./user-jobs/index.js"
import { UNDELETE, undeleteOf, type Undelete } from "./undelete/index.js"
import { createCoreWithJobs, type Upkeep } from "@hayloft/upkeep/index.js"

export type {
  BackedUpRows,
  FormerVersion,
  RescuedFeature,
  RescuedOfAccounts,
  RowsToRescue,
} from "@hayloft/objects/door/index.js"

const FEATURES: readonly ProductFeature[] = [
  TRANSFORMS_FEATURE,
  REMOTE_BUCKETS,
  QUOTAS,
  UNDELETE,
  HISTORY,
  COPIES,
  DEDUP,
  PACKING,
  LIFECYCLE,
  ITEMS,
  QUEUES,
  LOCKS,
  TRANSACTIONS,
  STORAGE_CLASSES_FEATURE,
  APPENDS,
  USER_JOBS,
  HOT_COPIES_FEATURE,
]

installFeatures(FEATURES)

export { installedFeatures, jobsOfFeatures }

const OPERATED = FEATURES.flatMap(({ operator }) => operator ?? [])

/** The operations of features. */
export const FEATURE_OPERATIONS: readonly Operation[] = OPERATED.flatMap(({ operations }) => operations ?? [])

/** The groups of their commands. */
export const FEATURE_COMMAND_GROUPS: ReadonlyMap<string, string> = new Map(
  OPERATED.flatMap(({ commandGroups }) => Object.entries(commandGroups ?? {})),
)

/** Settings of buckets that S3 does not have, by their names. */
export const FEATURE_SETTINGS: ReadonlyMap<string, BucketSetting> = new Map(
  OPERATED.flatMap(({ bucketSettings }) => Object.entries(bucketSettings ?? {})),
)

/** Commands on settings of buckets. */
export const FEATURE_SETTING_COMMANDS: readonly SettingCommands[] = OPERATED.flatMap(
  ({ settingCommands }) => settingCommands ?? [],
)

/** Jobs of features on rows of the metadata. */
export const FEATURE_ROW_JOBS: readonly RowJobs[] = OPERATED.flatMap(({ rowJobs }) => rowJobs ?? [])

/** The fields of features in the status of a store. */
export const FEATURE_STATUS: readonly StatusPart[] = FEATURES.flatMap(({ status }) => status ?? [])

/** The fields of features that have something to tell, by their names. Reads no rows. */
export const featureStatusOf = ({ core }: Pick<CoreServices, "core">): object =>
  Object.fromEntries(
    FEATURE_STATUS.flatMap(part => {
      const report = part.report(core)
      return report === undefined ? [] : [[part.name, report]]
    }),
  )

/** Returns true if a setting of buckets counts from the moment on at which it is switched on. */
export const beginsWhenSet = (name: BucketSettingName): boolean =>
  installedFeatures().some(({ bucket }) => bucket?.setting?.name === name && bucket.setting.beginsWhenSet === true)

/** The object services of one node and its jobs, with the services of features. */
export interface StoreServices extends CoreServices, Upkeep {
  readonly appends: Appends
  readonly quotas: Quotas
  readonly undelete: Undelete
  readonly histories: Histories
  readonly moments: MomentService
  readonly lifecycle: Lifecycle
  readonly items: Items
  readonly transactions: Transactions
  readonly classes: StorageClasses
  readonly archives: Archives
}

export function createServices(...of: Parameters<typeof createCoreWithJobs>): StoreServices {
  const services = createCoreWithJobs(...of)
  const { core } = services
  return {
    ...services,
    appends: appendsOf(core),
    undelete: undeleteOf(core),
    items: itemsOf(core),
    transactions: transactionsOf(core),
    quotas: quotasOf(core).quotas,
    ...historyOf(core),
    ...lifecycleOf(core),
    ...classesOf(core),
  }
}

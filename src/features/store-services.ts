/**
 * The features of the product, and the services of those that others use.
 *
 * Promises  They are installed when this file is loaded. Whatever decides on objects, or starts their services, loads it.
 */
import { createServices as createCore, type Services as CoreServices } from "../object/index.js"
import { installFeatures, type Feature } from "../object/door/index.js"
import type { SettingName } from "../format/records.js"
import { COPIES } from "./copies/index.js"
import { HISTORY, historyOf, type Histories, type MomentService } from "./history/index.js"
import { PACKING, packingOf, type Packing } from "./packing/index.js"
import { UNDELETE, undeleteOf, type Undelete } from "./undelete/index.js"

export type { RescuedFeature } from "../object/door/index.js"

export const FEATURES = [UNDELETE, HISTORY, COPIES, PACKING] as const satisfies readonly Feature[]

export type FeatureName = (typeof FEATURES)[number]["name"]

const features: readonly Feature[] = FEATURES

/** Returns true if a setting of buckets counts from the moment on at which it is switched on. */
export const beginsWhenSet = (name: SettingName): boolean =>
  features.some(({ bucket }) => bucket?.setting?.name === name && bucket.setting.beginsWhenSet === true)

installFeatures(FEATURES)

/** The object services of one node, with those of features. */
export interface Services extends CoreServices {
  readonly undelete: Undelete
  readonly histories: Histories
  readonly moments: MomentService
  readonly packing: Packing
}

export function createServices(...of: Parameters<typeof createCore>): Services {
  const services = createCore(...of)
  const { core } = services
  return { ...services, undelete: undeleteOf(core), packing: packingOf(core), ...historyOf(core) }
}

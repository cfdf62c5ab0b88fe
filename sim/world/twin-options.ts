/** The options of twins, and those that a seed implies. */
import { FEW_HOT_COPIES } from "./settings.js"
import type { WorldOptions } from "./world.js"

export interface TwinsOptions extends Pick<WorldOptions, "hotCopies"> {
  readonly seed: number
  readonly devices: number
  readonly steps: number
  /** The bucket has object lock, and many steps are about it. */
  readonly hasLock?: boolean
  /** The bucket has lifecycle rules, and days pass. */
  readonly hasLifecycle?: boolean
  /** Some requests ask for encryption, with keys of clients too. */
  readonly hasEncryption?: boolean
  /** The bucket allows appends and has no versions, and many steps are about it. */
  readonly hasAppends?: boolean
}

const DEVICES = [1, 2, 4, 7]
const FEATURES: readonly Partial<TwinsOptions>[] = [
  {},
  { hasEncryption: true },
  { hasAppends: true },
  { hasLock: true },
  { hasLifecycle: true },
  { hasLock: true, hasLifecycle: true },
]

/** So many seeds in a row have all features between them. */
export const TWIN_FEATURES = FEATURES.length

/** The options that a seed implies: features and devices, and in every fifth run copies of blocks that were read. */
export const twinsOf = (seed: number): Omit<TwinsOptions, "steps"> => ({
  ...FEATURES[seed % FEATURES.length],
  seed,
  devices: DEVICES[seed % DEVICES.length] ?? 1,
  hotCopies: seed % 5 === 3 ? FEW_HOT_COPIES : undefined,
})

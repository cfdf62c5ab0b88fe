/** Upkeep of payload volumes, decided: which volume's live payloads are worth moving. */

export const PAYLOAD_UPKEEP_LIMITS = {
  /** Dead share of all written bytes that is allowed; below the promised share, since more dies meanwhile. */
  deadShareMax: 0.2,
  /** The same while the device is short of space. */
  deadShareMaxWhenShort: 1 / 16,
  /** Fewer dead bytes are not worth the writing. */
  deadBytesMin: 64 * 1024,
  /** Bytes that one checkpoint moves. */
  movedBytesMax: 32 * 1024 * 1024,
} as const

export type PayloadUpkeepLimits = { readonly [Name in keyof typeof PAYLOAD_UPKEEP_LIMITS]: number }

export interface CountedVolume {
  readonly volume: number
  readonly writtenBytes: number
  readonly liveBytes: number
  readonly isOpen: boolean
}

const deadBytes = (volumes: readonly CountedVolume[]): number =>
  volumes.reduce((sum, { writtenBytes, liveBytes }) => sum + Math.max(0, writtenBytes - liveBytes), 0)

/** Volumes that nothing points into; they only have to be removed. */
export const emptyVolumes = (volumes: readonly CountedVolume[]): readonly number[] =>
  volumes.filter(({ liveBytes, isOpen }) => liveBytes === 0 && !isOpen).map(({ volume }) => volume)

interface MoveTerms {
  /** Bytes that may be moved. A volume is chosen only if all its live payloads fit: its space comes back once all have moved. */
  readonly bytesMax?: number
  /** Volumes up to this one are to be emptied. */
  readonly emptyUpTo?: number
  /** The device is short of space. */
  readonly isShort?: boolean
}

/**
 * The volume with the largest dead share, if too much of all is dead. Before that, the first of those that are to be
 * emptied. `passed`: volumes from which nothing more can be moved.
 */
export function volumeToMove(
  volumes: readonly CountedVolume[],
  passed: ReadonlySet<number>,
  limits: PayloadUpkeepLimits,
  { bytesMax = Infinity, emptyUpTo = 0, isShort = false }: MoveTerms = {},
): CountedVolume | undefined {
  const inUse = volumes.filter(({ volume, liveBytes, isOpen }) => (liveBytes > 0 || isOpen) && !passed.has(volume))
  const due = inUse.find(({ volume, liveBytes }) => volume <= emptyUpTo && liveBytes <= bytesMax)
  if (due !== undefined) return due
  const writtenBytes = inUse.reduce((sum, volume) => sum + volume.writtenBytes, 0)
  const dead = deadBytes(inUse)
  const deadShareMax = isShort ? limits.deadShareMaxWhenShort : limits.deadShareMax
  if (dead < limits.deadBytesMin || dead < deadShareMax * writtenBytes) return undefined
  const shareOf = (volume: CountedVolume): number => deadBytes([volume]) / Math.max(1, volume.writtenBytes)
  // One that fits and is hardly dead would be moved again and again, for nothing.
  const fitting = inUse.filter(each => each.liveBytes <= bytesMax && shareOf(each) >= deadShareMax)
  return fitting.reduce<CountedVolume | undefined>(
    (best, each) => (best === undefined || shareOf(each) > shareOf(best) ? each : best),
    undefined,
  )
}

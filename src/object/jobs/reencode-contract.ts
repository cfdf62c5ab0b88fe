/** Re-encoding: what it tells of itself. */
export interface ReencodeReport {
  readonly isPaused: boolean
  /** Of blocks. */
  readonly doneBytes: number
  /** Undefined while it is being counted. */
  readonly remainingBytes: number | undefined
  readonly secondsLeft: number | undefined
  /** Uploads that could not be coded anew now, because devices or shards are missing. */
  readonly waiting: number
}

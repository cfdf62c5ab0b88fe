/** The report of re-encoding. */
export interface ReencodeReport {
  readonly isPaused: boolean
  /** Bytes of blocks. */
  readonly doneBytes: number
  /** Undefined while counting. */
  readonly remainingBytes: number | undefined
  readonly secondsLeft: number | undefined
  /** Uploads that cannot be re-encoded now, because devices or shards are missing. */
  readonly waiting: number
}

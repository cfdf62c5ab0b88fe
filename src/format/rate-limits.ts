/** Limits of rates, as rows of accounts and access keys contain them. */
import type { RecordReader } from "./pack.js"

/** Each member is undefined if there is no such limit. */
export interface RateLimits {
  readonly requestsPerSecond: number | undefined
  /** Requests that may arrive at once; undefined: as many as `requestsPerSecond`. */
  readonly burst: number | undefined
  /** The limit is for bodies, received and sent together. */
  readonly bytesPerSecond: number | undefined
}

export const packRateLimits = ({ requestsPerSecond, burst, bytesPerSecond }: RateLimits): unknown => [
  requestsPerSecond ?? null,
  burst ?? null,
  bytesPerSecond ?? null,
]

/** The last member of a record; undefined if it has none. */
export const readRateLimits = (record: RecordReader): RateLimits | undefined =>
  record.optional(() => {
    const row = record.row()
    const next = (): number | undefined => row.optional(() => row.number())
    return { requestsPerSecond: next(), burst: next(), bytesPerSecond: next() }
  })

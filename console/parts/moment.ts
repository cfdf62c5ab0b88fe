/** A time as a field for local times has it, as a moment of S3 requests; undefined: it is none. */
export function momentOf(localTime: string): string | undefined {
  const timeMs = localTime === "" ? NaN : new Date(localTime).getTime()
  return Number.isNaN(timeMs) ? undefined : new Date(timeMs).toISOString()
}

/** Converts the text of a local time field to a moment of S3 requests; undefined if the text is no time. */
export function momentOf(localTime: string): string | undefined {
  const timeMs = localTime === "" ? NaN : new Date(localTime).getTime()
  return Number.isNaN(timeMs) ? undefined : new Date(timeMs).toISOString()
}

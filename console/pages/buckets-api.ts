/** Paths of the admin API about a bucket, and its settings as JSON. */
import { api, ApiError } from "../api/client.js"
import type { BucketSetting, BucketSettings } from "../api/shapes.js"

export type SettingValue = NonNullable<BucketSetting["value"]>

export const bucketPath = (bucket: string, ...parts: readonly string[]): string =>
  ["/v1/buckets", ...[bucket, ...parts].map(encodeURIComponent)].join("/")

/** Removes the setting if the value is undefined. */
export async function saveSetting(bucket: string, setting: string, value: SettingValue | undefined): Promise<void> {
  const path = bucketPath(bucket, "settings", setting)
  if (value === undefined) await api.delete(path)
  else await api.put(path, { value })
}

/** The latest change of a setting: each one sees what those before it have stored. */
let latest: Promise<unknown> = Promise.resolve()

/** Changes a setting as the store has it now, so that what another tab or another line has changed of it stays. */
export function changeSetting(
  bucket: string,
  setting: string,
  change: (now: SettingValue | undefined) => SettingValue | undefined,
): Promise<void> {
  const changed = latest.then(async () => {
    const { value } = await api.get<BucketSetting>(bucketPath(bucket, "settings", setting))
    await saveSetting(bucket, setting, change(value))
  })
  latest = changed.catch(() => {})
  return changed
}

/** Saves what was made of `before`. Throws an `ApiError` if somebody has changed the setting since it was read. */
export const replaceSetting = (
  bucket: string,
  { setting, value: before }: BucketSetting,
  value: SettingValue | undefined,
): Promise<void> =>
  changeSetting(bucket, setting, now => {
    if (JSON.stringify(now) === JSON.stringify(before)) return value
    const message = `Somebody has changed ${setting} of ${bucket} since this page read it. Nothing was saved: load the page again, and repeat the change.`
    throw new ApiError(0, "changed", message)
  })

const isObject = (value: unknown): value is SettingValue =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Returns what is wrong with a value that is JSON. */
export const valueProblem = (value: unknown): string | undefined =>
  isObject(value) ? undefined : "A setting is a JSON object."

/** Parses JSON; throws a `SyntaxError`. The server refuses a value that is not an object. */
export function parseValue(text: string): SettingValue {
  const parsed: unknown = JSON.parse(text)
  return isObject(parsed) ? parsed : {}
}

export const settingIn = ({ settings }: BucketSettings, name: string): BucketSetting | undefined =>
  settings.find(({ setting }) => setting === name)

/** A member of a value, as deep as the path goes; undefined if it is not there. */
export function memberOf(value: unknown, ...path: readonly string[]): unknown {
  let at = value
  for (const name of path) {
    // A list stands for its first item: settings of a single rule.
    const holder: unknown = Array.isArray(at) ? at[0] : at
    if (typeof holder !== "object" || holder === null) return undefined
    at = Object.entries(holder).find(([key]) => key === name)?.[1]
  }
  return at
}

export const textIn = (value: unknown, ...path: readonly string[]): string => {
  const found = memberOf(value, ...path)
  return typeof found === "string" || typeof found === "number" ? String(found) : ""
}

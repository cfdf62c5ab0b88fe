/** Settings of a server that matter to Hayloft, and what their values mean. Pure. */
import type { CheckFinding, CheckLevel } from "./finding.js"
import type { Product } from "./product-core.js"

interface Judged {
  readonly level: CheckLevel
  readonly meaning?: string
}

const OK: Judged = { level: "ok" }
const failed = (meaning: string): Judged => ({ level: "fail", meaning })
const warned = (meaning: string): Judged => ({ level: "warn", meaning })

const onlyOn =
  (otherwise: Judged) =>
  (value: string): Judged =>
    value === "on" ? OK : otherwise
const onlyOff =
  (otherwise: Judged) =>
  (value: string): Judged =>
    value === "off" ? OK : otherwise

const UNITS_MS: Readonly<Record<string, number>> = { "": 1, ms: 1, s: 1e3, min: 60e3, h: 3_600e3, d: 86_400e3 }

/** A duration as `SHOW` prints it; undefined for any other text. */
export function durationMsOf(text: string): number | undefined {
  const [, number, unit = ""] = /^(\d+) ?(ms|s|min|h|d)?$/.exec(text) ?? []
  return number === undefined ? undefined : Number(number) * (UNITS_MS[unit] ?? 1)
}

/** A limit that is off, or long enough. */
const longEnough =
  (leastMs: number, otherwise: Judged) =>
  (value: string): Judged => {
    const ms = durationMsOf(value)
    return ms === undefined || ms === 0 || ms >= leastMs ? OK : otherwise
  }

/** A statement of Hayloft takes milliseconds, and may wait for others. */
const STATEMENT_MS_MIN = 10_000
const IDLE_MS_MIN = 60_000

const ENDED = warned(
  "statements that wait for others are cancelled, and their requests fail; set it to 0 for Hayloft's role",
)

/** By name, in the order in which they are reported. */
const SETTINGS: Readonly<Record<string, (value: string, product: Product) => Judged>> = {
  fsync: onlyOn(
    failed("a crash of the machine loses acknowledged writes, and may damage the whole database; turn it on"),
  ),
  full_page_writes: onlyOn(
    failed(
      "a crash of the machine may damage pages, and with them acknowledged writes; turn it on (only a file system that writes whole pages, such as ZFS, makes up for it)",
    ),
  ),
  synchronous_commit: value =>
    value === "off"
      ? failed(
          "commits are acknowledged before they are durable, and a crash loses them; turn it on for Hayloft's role",
        )
      : OK,
  synchronous_standby_names: () => OK,
  zero_damaged_pages: onlyOff(failed("damaged rows are silently replaced by none; turn it off")),
  ignore_checksum_failure: onlyOff(failed("damaged rows are returned as if they were intact; turn it off")),
  data_checksums: onlyOn(
    warned("damage of the database's disks may go unnoticed; turn checksums on with pg_checksums while it is stopped"),
  ),
  wal_level: value =>
    value === "minimal" ? warned("neither a standby nor a continuous backup is possible; set it to replica") : OK,
  autovacuum: onlyOn(warned("small hot tables grow without bound, and statements become slower; turn it on")),
  default_transaction_isolation: (value, product) => {
    const best = product === "PostgreSQL" ? "read committed" : "serializable"
    if (value === best) return OK
    return product === "PostgreSQL"
      ? warned("more statements abort one another and are retried; set it to read committed for Hayloft's role")
      : warned(`Hayloft's statements are meant for ${best} on this product`)
  },
  statement_timeout: longEnough(STATEMENT_MS_MIN, ENDED),
  transaction_timeout: longEnough(STATEMENT_MS_MIN, ENDED),
  lock_timeout: longEnough(
    1_000,
    warned("statements that wait for others are retried too early; set it to 0 for Hayloft's role"),
  ),
  idle_in_transaction_session_timeout: () => OK,
  idle_session_timeout: longEnough(
    IDLE_MS_MIN,
    warned("idle connections are closed, and the next request has to open one; set it to 0 for Hayloft's role"),
  ),
  server_encoding: value =>
    value === "UTF8" || value === "SQL_ASCII"
      ? OK
      : warned("names of nodes that this encoding lacks are refused; create the database with UTF8"),
}

/** The settings that `SHOW` is asked for. */
export const SETTING_NAMES: readonly string[] = [
  ...Object.keys(SETTINGS),
  "max_connections",
  "superuser_reserved_connections",
  "reserved_connections",
  "max_slot_wal_keep_size",
]

/** Settings of newer versions: nothing is lost where they do not exist. */
const OPTIONAL = new Set(["transaction_timeout", "idle_session_timeout"])

export function settingFindings(settings: ReadonlyMap<string, string>, product: Product): CheckFinding[] {
  return Object.entries(SETTINGS).flatMap(([name, judge]): CheckFinding[] => {
    const value = settings.get(name)
    if (value !== undefined)
      return [{ check: name, found: `${name} is ${value === "" ? "empty" : value}`, ...judge(value, product) }]
    return OPTIONAL.has(name) ? [] : [{ level: "unknown", check: name, found: name }]
  })
}

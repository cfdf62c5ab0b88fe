/**
 * Findings of a check of a database, and the verdict that follows from them. Pure.
 *
 * Promises  A database is safe only if nothing failed. Whatever keeps the runs from being made is a failure itself, so
 *           a database that was not tried is never safe.
 */
import { unreachable } from "@hayloft/base/assert.js"
import type { ConnectionProtection } from "../postgres/wire.js"
import type { CheckFinding, CheckLevel } from "./finding.js"
import { versionOf, type Product, type ServerVersion } from "./product-core.js"
import { settingFindings } from "./settings-core.js"

interface Verdict {
  readonly isSafe: boolean
  readonly sentence: string
}

export function verdictOf(findings: readonly CheckFinding[]): Verdict {
  const of = (level: CheckLevel): string =>
    findings.flatMap(each => (each.level === level ? [each.found] : [])).join("; ")
  const [failed, warned] = [of("fail"), of("warn")]
  if (failed !== "") return { isSafe: false, sentence: `This database is NOT safe for Hayloft: ${failed}.` }
  if (warned !== "") return { isSafe: true, sentence: `This database is safe for Hayloft, except for: ${warned}.` }
  return { isSafe: true, sentence: "This database is safe for Hayloft." }
}

/** One host of the URL, as a first connection found it. */
export interface HostFacts {
  readonly name: string
  readonly state: "writable" | "readOnly" | "failed"
  /** The reason why the connection failed. */
  readonly reason?: string
  /** When a writable server was started, which tells two servers apart. */
  readonly startedAt?: string | undefined
}

const READ_ONLY = "it is a standby in recovery, or set to read-only; name the primary"

export function hostFindings(hosts: readonly HostFacts[]): CheckFinding[] {
  const isOnly = !hosts.some(({ state }) => state === "writable")
  const findings = hosts.map(({ name, state, reason = "no reason" }): CheckFinding => {
    const check = "connection"
    switch (state) {
      case "writable":
        return { level: "ok", check, found: `${name} accepts writes` }
      case "readOnly":
        return isOnly
          ? { level: "fail", check, found: `${name} is read-only`, meaning: READ_ONLY }
          : { level: "ok", check, found: `${name} is read-only`, meaning: "it is not used" }
      case "failed":
        return { level: isOnly ? "fail" : "warn", check, found: `${name} cannot be used`, meaning: reason }
      default:
        return unreachable(state)
    }
  })
  const started = new Set(hosts.flatMap(({ startedAt }) => startedAt ?? []))
  if (started.size < 2) return findings
  const found = "several hosts of the URL accept writes, and are not the same server"
  const meaning =
    "after a failover nodes could write to different databases; name the members of one cluster, of which one accepts writes"
  return [...findings, { level: "fail", check: "connection", found, meaning }]
}

/** The pooler between client and server: it shows in the numbers of the server's processes. */
export type Pooler = "none" | "session" | "transaction"

interface Standby {
  readonly name: string
  /** "sync" and "quorum" wait for it; undefined: the role may not see it. */
  readonly sync: string | undefined
}

/** The facts that one writable server states about itself. A fact is undefined if the server does not state it. */
export interface ServerFacts {
  readonly version: string
  readonly protection: ConnectionProtection
  readonly pooler: Pooler | undefined
  /** By name, as `SHOW` prints them. */
  readonly settings: ReadonlyMap<string, string>
  readonly standbys: readonly Standby[] | undefined
  /** Connections that all clients together may open more. */
  readonly connectionsLeft: number | undefined
  readonly inactiveSlots: number | undefined
  readonly oldestTransactionSeconds: number | undefined
}

/** Statements use `MATERIALIZED`. */
const OLDEST_POSTGRESQL = 12
const LONG_TRANSACTION_SECONDS = 3_600

export function serverFindings(facts: ServerFacts, connectionsPerNode: number): CheckFinding[] {
  const version = versionOf(facts.version)
  return [
    versionFinding(facts.version, version),
    protectionFinding(facts.protection),
    poolerFinding(facts.pooler),
    ...settingFindings(facts.settings, version.product),
    ...replicationFindings(facts, version.product),
    connectionsFinding(facts.connectionsLeft, connectionsPerNode),
    ...(facts.inactiveSlots !== undefined && facts.inactiveSlots > 0 ? [slotsFinding(facts)] : []),
    oldestFinding(facts.oldestTransactionSeconds),
  ]
}

function versionFinding(text: string, { product, number }: ServerVersion): CheckFinding {
  const check = "version"
  if (product === "another product") {
    const meaning = "Hayloft does not know this product; only the runs below speak for it"
    return { level: "warn", check, found: `the server is ${text.slice(0, 60)}`, meaning }
  }
  const found = `the server is ${product} ${number}`
  if (product !== "PostgreSQL") {
    const meaning = "Hayloft has not been tried on it; its own settings of durability and replication are not read"
    return { level: "warn", check, found, meaning }
  }
  if (Number.parseInt(number, 10) >= OLDEST_POSTGRESQL) return { level: "ok", check, found }
  return { level: "fail", check, found, meaning: `Hayloft needs ${OLDEST_POSTGRESQL} or later` }
}

function protectionFinding(protection: ConnectionProtection): CheckFinding {
  const check = "tls"
  const everybody =
    "anyone who can change the database controls metadata and policies; add sslmode=verify-full to the URL"
  switch (protection) {
    case "unixSocket":
      return { level: "ok", check, found: "the connection is a Unix socket" }
    case "verifiedTls":
      return { level: "ok", check, found: "the connection uses TLS, and the server's certificate is verified" }
    case "unverifiedTls":
      return { level: "warn", check, found: "the server's certificate is not verified", meaning: everybody }
    case "none":
      return { level: "warn", check, found: "the connection does not use TLS", meaning: everybody }
    default:
      return unreachable(protection)
  }
}

function poolerFinding(pooler: Pooler | undefined): CheckFinding {
  const check = "pooler"
  switch (pooler) {
    case undefined:
      return { level: "unknown", check, found: "whether there is a pooler" }
    case "none":
      return { level: "ok", check, found: "there is no pooler" }
    case "session":
      return { level: "ok", check, found: "there is a pooler in session mode" }
    case "transaction":
      return { level: "ok", check, found: "there is a pooler in transaction mode" }
    default:
      return unreachable(pooler)
  }
}

const SYNCHRONOUS = new Set(["sync", "quorum"])

function replicationFindings({ settings, standbys }: ServerFacts, product: Product): CheckFinding[] {
  if (product !== "PostgreSQL") return []
  const check = "replication"
  if (standbys === undefined) return [{ level: "unknown", check, found: "the standbys" }]
  const names = settings.get("synchronous_standby_names") ?? ""
  const commit = settings.get("synchronous_commit") ?? "on"
  if (standbys.length === 0 && names === "") {
    const found = "there is no standby"
    const meaning =
      "the metadata is as safe as this server's disks and backups; ignore this if the provider replicates below the database"
    return [{ level: "warn", check, found, meaning }]
  }
  const seen = standbys.filter(({ sync }) => sync !== undefined)
  const synchronous = seen.filter(({ sync = "" }) => SYNCHRONOUS.has(sync))
  if (names !== "" && synchronous.length === 0) {
    if (seen.length < standbys.length)
      return [{ level: "unknown", check, found: "whether a synchronous standby is connected (grant pg_monitor)" }]
    const found = "no synchronous standby is connected"
    const meaning = "every commit waits until one is; start it, or change synchronous_standby_names"
    return [{ level: "fail", check, found, meaning }]
  }
  if (names === "" || commit === "local") {
    const found = "the standbys are asynchronous"
    const meaning =
      "a failover to one loses the last acknowledged writes; Hayloft detects that and stops; for none lost, set synchronous_standby_names"
    return [{ level: "warn", check, found, meaning }]
  }
  if (commit === "remote_write") {
    const found = "synchronous standbys write commits, and do not flush them"
    const meaning = "primary and standby losing power together lose acknowledged writes; set synchronous_commit = on"
    return [{ level: "warn", check, found, meaning }]
  }
  return [{ level: "ok", check, found: `commits wait for synchronous standbys (${synchronous.length} connected)` }]
}

/** Returns true if a commit would wait forever, so that nothing can be tried. */
export const waitsForStandby = (facts: ServerFacts): boolean =>
  replicationFindings(facts, versionOf(facts.version).product).some(({ level }) => level === "fail")

function connectionsFinding(left: number | undefined, perNode: number): CheckFinding {
  const check = "connections"
  if (left === undefined) return { level: "unknown", check, found: "how many connections are left" }
  const nodes = Math.floor(left / perNode)
  const found = `${left} connections are left, ${perNode} for each node: enough for ${nodes} nodes`
  return nodes >= 3
    ? { level: "ok", check, found }
    : { level: "warn", check, found, meaning: "raise max_connections (or the role's limit), or use a pooler" }
}

function slotsFinding({ settings, inactiveSlots = 0 }: ServerFacts): CheckFinding {
  const isBounded = (settings.get("max_slot_wal_keep_size") ?? "-1") !== "-1"
  const found = `${inactiveSlots} replication slots are not in use`
  if (isBounded) return { level: "ok", check: "slots", found }
  const meaning = "they keep WAL until the disk is full; drop them, or set max_slot_wal_keep_size"
  return { level: "warn", check: "slots", found, meaning }
}

function oldestFinding(seconds: number | undefined): CheckFinding {
  const check = "oldest_transaction"
  if (seconds === undefined) return { level: "unknown", check, found: "the age of the oldest transaction" }
  const found = `the oldest transaction is ${Math.round(seconds)} s old`
  if (seconds < LONG_TRANSACTION_SECONDS) return { level: "ok", check, found }
  const meaning = "vacuum removes nothing that was deleted since, and hot tables grow; end it"
  return { level: "warn", check, found, meaning }
}

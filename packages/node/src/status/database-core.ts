/**
 * The database of a store in its status: what the nodes found out about it, and what is wrong with it, as one sentence
 * each: what is the case, what it means, what to do. Pure.
 *
 * What is unknown is no finding: a product or a role that says nothing of a kind is not in trouble.
 */
import { MIB } from "@hayloft/base/limits.js"
import { countText, durationText, latencyText, sizeText } from "@hayloft/base/text/quantity-text.js"
import type {
  DatabaseHealth,
  ReportedDatabase,
  SnapshotHolder,
  StandbyHealth,
} from "@hayloft/engine/format/nodes/database-health.js"
import type { DatabaseFinding, DatabaseReport, NodeOfDatabase } from "./contract.js"

/** The reports of the nodes of a store about its database. */
export interface DatabaseView {
  readonly own: string
  /** This one among them, by name. */
  readonly nodes: readonly ({ readonly name: string } & Omit<ReportedDatabase, "health" | "healthSecondsAgo">)[]
  /** The latest reading of any node. */
  readonly health: DatabaseHealth | undefined
  readonly healthSecondsAgo: number
}

interface DatabaseLimits {
  /** A snapshot that is older, or that so many transactions have followed, keeps too many dead rows. */
  readonly snapshotSeconds: number
  readonly snapshotTransactions: number
  /** A table with more dead rows than both is not vacuumed as it should be. */
  readonly deadRows: number
  readonly deadShareOfLive: number
  readonly lagSeconds: number
  readonly lagBytes: number
  readonly slotBytes: number
  readonly clockMs: number
  /** Less than two nodes need. */
  readonly connectionsLeft: number
  readonly medianMs: number
  readonly slowMs: number
  /** Fewer say nothing about response times. */
  readonly statements: number
  /** A database stops at 2.1 thousand million, and vacuums everything from 200 million on. */
  readonly unfrozenTransactions: number
}

export const DATABASE_LIMITS: DatabaseLimits = {
  snapshotSeconds: 600,
  snapshotTransactions: 1_000_000,
  deadRows: 50_000,
  deadShareOfLive: 0.2,
  lagSeconds: 60,
  lagBytes: 256 * MIB,
  slotBytes: 1024 * MIB,
  clockMs: 5_000,
  connectionsLeft: 10,
  medianMs: 200,
  slowMs: 3_000,
  statements: 20,
  unfrozenTransactions: 1_000_000_000,
}

/** A standby that has been gone for longer was taken away on purpose. */
const GONE_SHOWN_SECONDS = 86_400
const STANDBYS_MAX = 64

interface NodeSays<View> {
  readonly name: string
  readonly view: View
}

/**
 * Returns what this node and the others report; the facts are those that were read last. The view is undefined for
 * nodes that do not respond, or are of an earlier release.
 */
export function databaseView(
  own: NodeSays<ReportedDatabase>,
  others: readonly NodeSays<ReportedDatabase | undefined>[],
): DatabaseView {
  const all = [own, ...others].flatMap(({ name, view }) => (view === undefined ? [] : [{ name, view }]))
  const [newest] = all
    .filter(({ view }) => view.health !== undefined)
    .sort((a, b) => a.view.healthSecondsAgo - b.view.healthSecondsAgo)
  return {
    own: own.name,
    nodes: all
      .map(({ name, view: { commits, reads, clock } }) => ({ name, commits, reads, clock }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    health: newest?.view.health,
    healthSecondsAgo: newest?.view.healthSecondsAgo ?? 0,
  }
}

export const databaseReport = ({ own, nodes, health, healthSecondsAgo }: DatabaseView): DatabaseReport => ({
  own,
  findings: databaseTrouble(health, nodes),
  nodes: nodes.map(({ name, commits, reads, clock }) => ({ name, commits, reads, clock })),
  health,
  healthSecondsAgo: health === undefined ? undefined : Math.round(healthSecondsAgo),
})

export function databaseTrouble(
  health: DatabaseHealth | undefined,
  nodes: readonly NodeOfDatabase[],
  limits: DatabaseLimits = DATABASE_LIMITS,
): readonly DatabaseFinding[] {
  const ofNodes = [...slowAnswers(nodes, limits), ...wrongClocks(nodes, limits)]
  if (health === undefined) return ofNodes
  return [
    ...durability(health),
    ...connections(health, limits),
    ...replication(health, limits),
    ...ofNodes,
    ...snapshots(health, limits),
    ...deadRows(health, limits),
    ...slots(health, limits),
    ...unfrozen(health, limits),
  ]
}

const finding = (check: DatabaseFinding["check"], sentence: string): DatabaseFinding => ({ check, sentence })

function slowAnswers(nodes: readonly NodeOfDatabase[], limits: DatabaseLimits): DatabaseFinding[] {
  return (["commits", "reads"] as const).flatMap(kind => {
    const slow = nodes.flatMap(({ name, [kind]: times }) =>
      times !== undefined &&
      times.count >= limits.statements &&
      (times.medianMs > limits.medianMs || times.slowMs > limits.slowMs)
        ? [{ name, times }]
        : [],
    )
    const [worst, ...others] = slow.sort((a, b) => b.times.medianMs - a.times.medianMs)
    if (worst === undefined) return []
    const { medianMs, slowMs } = worst.times
    const also = others.length === 0 ? "" : ` (and of ${others.length} more nodes)`
    return [
      finding(
        "responseTimes",
        `The database answers ${kind} of node ${worst.name}${also} slowly: half take ${latencyText(medianMs)} or more, one of 100 over ${latencyText(slowMs)}. ` +
          "Every request takes at least as long; look at the load and the disks of the database, at its standbys if commits wait for them, and at the network.",
      ),
    ]
  })
}

function wrongClocks(nodes: readonly NodeOfDatabase[], limits: DatabaseLimits): DatabaseFinding[] {
  const wrong = nodes.flatMap(({ name, clock }) =>
    clock !== undefined && Math.abs(clock.aheadMs) - clock.uncertainMs > limits.clockMs
      ? [{ name, aheadMs: clock.aheadMs }]
      : [],
  )
  const known = nodes.filter(({ clock }) => clock !== undefined).length
  const all = wrong.length > 1 && wrong.length === known ? " All nodes differ from it: its own clock may be wrong." : ""
  return wrong.map(({ name, aheadMs }) => {
    const side = aheadMs > 0 ? "ahead of" : "behind"
    return finding(
      "clock",
      `The clock of node ${name} is ${durationText(Math.abs(aheadMs) / 1000)} ${side} the database's. Times of objects that it writes are wrong, ` +
        `and above 15 min signed requests are refused; synchronise the clocks of both machines (NTP).${all}`,
    )
  })
}

const snapshotText = ({ kind, name, owner }: SnapshotHolder): readonly [what: string, remedy: string] => {
  const by = owner === "" ? "" : ` (${owner})`
  switch (kind) {
    case "session":
      return [`A transaction of session ${name}${by}`, `end it: SELECT pg_terminate_backend(${name})`]
    case "prepared":
      return [`The prepared transaction ${name}${by}`, "end it with COMMIT PREPARED or ROLLBACK PREPARED"]
    case "standby":
      return [`A query on standby ${name}`, "end it there, or turn hot_standby_feedback off"]
    case "slot":
      return [`A snapshot that replication slot ${name} keeps`, "let its standby catch up, or drop the slot"]
    default:
      return kind satisfies never
  }
}

function snapshots({ holders = [] }: DatabaseHealth, limits: DatabaseLimits): DatabaseFinding[] {
  return holders.flatMap(holder => {
    const { seconds = 0, transactions = 0 } = holder
    if (seconds <= limits.snapshotSeconds && transactions <= limits.snapshotTransactions) return []
    const [what, remedy] = snapshotText(holder)
    const since = transactions === 0 ? [] : [`${countText(transactions)} transactions have begun since`]
    const age = [...(seconds === 0 ? [] : [`open for ${durationText(seconds)}`]), ...since].join("; ")
    return [
      finding(
        "oldSnapshot",
        `${what} holds back vacuum (${age}). Rows that were replaced since cannot be removed, and everything becomes slower; ${remedy}.`,
      ),
    ]
  })
}

function deadRows({ tables = [], settings }: DatabaseHealth, limits: DatabaseLimits): DatabaseFinding[] {
  const isOff = settings["autovacuum"] === "off"
  const off = isOff ? [finding("vacuum", "autovacuum is off. Hot tables grow without bound; turn it on.")] : []
  const bloated = tables.filter(
    ({ liveRows, deadRows: dead }) => dead > limits.deadRows && dead > limits.deadShareOfLive * liveRows,
  )
  const found = bloated.map(({ name, liveRows, deadRows: dead, vacuumedSecondsAgo }) => {
    const ago = vacuumedSecondsAgo === undefined ? "never" : `${durationText(vacuumedSecondsAgo)} ago`
    return finding(
      "deadRows",
      `Table ${name} has ${countText(dead)} dead rows beside ${countText(liveRows)} live ones; vacuum last finished ${ago}. Statements that pass over them become slower; ` +
        "end old transactions, and see that autovacuum runs often enough (VACUUM removes them now).",
    )
  })
  return [...off, ...found]
}

function durability({ isInRecovery, settings }: DatabaseHealth): DatabaseFinding[] {
  const isOff = (name: string): boolean => settings[name] === "off"
  const lost = "A crash of its machine loses acknowledged writes"
  return [
    ...(isInRecovery === true
      ? [
          finding(
            "recovery",
            "The database is a standby in recovery. It accepts no writes; name the primary in the URL.",
          ),
        ]
      : []),
    ...(isOff("fsync") ? [finding("durability", `fsync is off in the database. ${lost}; turn it on.`)] : []),
    ...(isOff("full_page_writes")
      ? [
          finding(
            "durability",
            `full_page_writes is off in the database. ${lost}, unless its file system writes whole pages; turn it on.`,
          ),
        ]
      : []),
    ...(isOff("synchronous_commit")
      ? [finding("durability", `synchronous_commit is off for Hayloft's role. ${lost}; turn it on.`)]
      : []),
  ]
}

const SYNCHRONOUS = new Set(["sync", "quorum"])

function replication({ standbys, settings }: DatabaseHealth, limits: DatabaseLimits): DatabaseFinding[] {
  if (standbys === undefined) return []
  const connected = standbys.filter(({ goneSeconds }) => goneSeconds === undefined)
  // A role that may not see the states of standbys does not know whether one is synchronous.
  const isKnown = connected.every(({ sync }) => sync !== undefined)
  const isWaiting =
    (settings["synchronous_standby_names"] ?? "") !== "" &&
    isKnown &&
    !connected.some(({ sync = "" }) => SYNCHRONOUS.has(sync))
  const waiting = isWaiting
    ? [
        finding(
          "replication",
          "Commits wait for a synchronous standby, and none is connected. No write is acknowledged until one is; start it, or change synchronous_standby_names.",
        ),
      ]
    : []
  return [...waiting, ...standbys.flatMap(standby => standbyTrouble(standby, limits))]
}

function standbyTrouble(standby: StandbyHealth, limits: DatabaseLimits): DatabaseFinding[] {
  const { name, state, lagBytes = 0, lagSeconds = 0, goneSeconds } = standby
  const failover = "After a failover to it, acknowledged writes would be missing"
  if (goneSeconds !== undefined) {
    return [
      finding(
        "replication",
        `Standby ${name} has not been connected for ${durationText(goneSeconds)}. ${failover}; start it, or see why it cannot connect.`,
      ),
    ]
  }
  if (lagBytes <= limits.lagBytes && lagSeconds <= limits.lagSeconds) return []
  const doing = state === undefined || state === "streaming" ? "" : ` (${state})`
  return [
    finding(
      "replication",
      `Standby ${name}${doing} is ${sizeText(lagBytes)} and ${durationText(lagSeconds)} behind. ${failover} unless commits wait for it, ` +
        "and it takes over late; look at its disks, its network and long queries on it.",
    ),
  ]
}

function connections(health: DatabaseHealth, limits: DatabaseLimits): DatabaseFinding[] {
  const { connectionsLeft: left, connectionsMax: max } = health
  if (left === undefined || left >= limits.connectionsLeft) return []
  const of = max === undefined ? "" : ` of ${max}`
  return [
    finding(
      "connections",
      `${left}${of} connections are left in the database. A node needs 5, and one that cannot connect answers 503; ` +
        "close those of others, raise max_connections (or the limit of the role), or use a pooler.",
    ),
  ]
}

function slots({ unusedSlots = [], settings }: DatabaseHealth, limits: DatabaseLimits): DatabaseFinding[] {
  const isBounded = (settings["max_slot_wal_keep_size"] ?? "-1") !== "-1"
  return unusedSlots.flatMap(({ name, bytes = 0 }) =>
    isBounded || bytes <= limits.slotBytes
      ? []
      : [
          finding(
            "slots",
            `Replication slot ${name} is not in use and keeps ${sizeText(bytes)} of WAL. It grows until the disk of the database is full; start its standby, or drop the slot.`,
          ),
        ],
  )
}

function unfrozen({ unfrozenTransactions: age }: DatabaseHealth, limits: DatabaseLimits): DatabaseFinding[] {
  if (age === undefined || age <= limits.unfrozenTransactions) return []
  return [
    finding(
      "transactionIds",
      `Rows of the last ${countText(age)} transactions are not frozen. The database stops at about 2,100,000,000; ` +
        "see what keeps autovacuum from freezing them (old transactions, slots), and run VACUUM.",
    ),
  ]
}

/** Standbys that were connected at an earlier reading and are not any more stay in the list. Those of one name count as one. */
export function withGoneStandbys(
  before: DatabaseHealth | undefined,
  health: DatabaseHealth,
  secondsSince: number,
): DatabaseHealth {
  const { standbys } = health
  if (standbys === undefined || before?.standbys === undefined) return health
  const connected = new Set(standbys.map(({ name }) => name))
  const gone = before.standbys
    .filter(({ name }) => !connected.has(name))
    .map(({ name, goneSeconds = 0 }): StandbyHealth => ({
      name,
      state: undefined,
      sync: undefined,
      lagBytes: undefined,
      lagSeconds: undefined,
      goneSeconds: goneSeconds + secondsSince,
    }))
    .filter(({ goneSeconds = 0 }) => goneSeconds <= GONE_SHOWN_SECONDS)
  return { ...health, standbys: [...standbys, ...gone].slice(0, STANDBYS_MAX) }
}

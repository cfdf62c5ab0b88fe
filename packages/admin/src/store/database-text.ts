/** Text for the database of a store: its key figures always, and what is wrong with it. Pure. */
import type { z } from "zod"
import { countText, durationText, latencyText, plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import type { DATABASE } from "./store-schemas.js"

type Database = z.output<typeof DATABASE>
type Health = NonNullable<Database["health"]>

/** Lines of `status`: a label, and a text. */
export function databaseLines({ findings, nodes, health, healthSecondsAgo = 0 }: Database): [string, string][] {
  const figures =
    health === undefined ? ["it has said nothing about itself lately"] : healthTexts(health, healthSecondsAgo)
  const texts = [...figures, ...answersTexts(nodes)]
  return [
    ...texts.map((text, at): [string, string] => [at === 0 ? "database" : "", text]),
    ...findings.map(({ sentence }): [string, string] => ["trouble", sentence]),
  ]
}

/** `PostgreSQL 15.18 (Debian …) on …`: the first part. */
const productOf = (version: string): string => version.split(/ \(| on |,/)[0] ?? version

function healthTexts(health: Health, secondsAgo: number): string[] {
  const { version, bytes, connectionsLeft, connectionsMax, unfrozenTransactions } = health
  const server = [
    version === undefined ? "a database that does not name itself" : productOf(version),
    ...(bytes === undefined ? [] : [sizeText(bytes)]),
    ...(connectionsLeft === undefined
      ? []
      : [
          connectionsMax === undefined
            ? `${plural(connectionsLeft, "connection")} left`
            : `${connectionsLeft} of ${plural(connectionsMax, "connection")} left`,
        ]),
    ...(unfrozenTransactions === undefined ? [] : [`${plural(unfrozenTransactions, "transaction")} not frozen`]),
  ]
  const vacuum = [...oldestTexts(health), ...deadTexts(health)]
  return [
    `${server.join(", ")} (${durationText(secondsAgo)} ago)`,
    ...(vacuum.length === 0 ? [] : [vacuum.join("; ")]),
    ...standbyTexts(health),
  ]
}

function oldestTexts({ holders }: Health): string[] {
  if (holders === undefined) return []
  const [oldest] = holders
  if (oldest === undefined) return ["no open transaction"]
  const { kind, name, seconds, transactions } = oldest
  const age = seconds === undefined ? plural(transactions ?? 0, "transaction") : durationText(seconds)
  return [`oldest transaction ${age} (${kind} ${name})`]
}

function deadTexts({ tables }: Health): string[] {
  if (tables === undefined) return []
  const shown = tables
    .filter(({ deadRows }) => deadRows > 0)
    .map(({ name, deadRows, liveRows }) => `${name} ${countText(deadRows)} of ${countText(deadRows + liveRows)}`)
  return [`dead rows: ${shown.join(", ") || "none"}`]
}

function standbyTexts({ standbys }: Health): string[] {
  if (standbys === undefined) return []
  if (standbys.length === 0) return ["no standby: metadata is as safe as the disks and the backups of this server"]
  const texts = standbys.map(({ name, state, sync, lagBytes, goneSeconds }) => {
    if (goneSeconds !== undefined) return `${name} not connected for ${durationText(goneSeconds)}`
    const lag = lagBytes === undefined ? [] : [`${sizeText(lagBytes)} behind`]
    return `${name} ${[state ?? "state unknown", ...(sync === undefined ? [] : [sync]), ...lag].join(", ")}`
  })
  return [`standbys: ${texts.join("; ")}`]
}

const timesText = (name: string, times: Database["nodes"][number]["commits"]): string[] =>
  times === undefined ? [] : [`${name} ${latencyText(times.medianMs)}, 99 % within ${latencyText(times.slowMs)}`]

/** Response times of each node, and by how much the clocks differ. */
function answersTexts(nodes: Database["nodes"]): string[] {
  return nodes.flatMap(({ name, commits, reads, clock }) => {
    const parts = [...timesText("commits", commits), ...timesText("reads", reads)]
    const ahead = clock === undefined ? [] : [`clock ${clockText(clock)}`]
    const all = [...parts, ...ahead]
    return all.length === 0 ? [] : [`answers ${name}: ${all.join("; ")}`]
  })
}

function clockText({ aheadMs, uncertainMs }: NonNullable<Database["nodes"][number]["clock"]>): string {
  if (Math.abs(aheadMs) <= uncertainMs || Math.abs(aheadMs) < 1) return "equal"
  return `${latencyText(Math.abs(aheadMs))} ${aheadMs > 0 ? "ahead" : "behind"}`
}

/** The study of quorums against Hayloft's rule: `docs/design/studies/quorum.md`. */
import { parsePolicy } from "@hayloft/base/policy.js"
import { mean, percentile, sum } from "../draws.js"
import { figure, percent, type Study, type StudyTable } from "../report.js"
import { cartsUnder } from "./carts.js"
import { BlockStore } from "./blocks.js"
import { DynamoStore, type Quorum } from "./dynamo.js"
import { FAULTS, RUN, type StoreMaker } from "./clients.js"
import { History } from "./history.js"
import type { Servers } from "./servers.js"

export interface Contender {
  readonly name: string
  readonly make: StoreMaker
}

const quorum = (name: string, rule: Quorum): Contender => ({
  name,
  make: (servers: Servers) => new DynamoStore(servers, rule),
})

const hayloft = (policy: string): Contender => ({
  name: `Hayloft, \`${policy}\``,
  make: (servers: Servers) => new BlockStore(servers, parsePolicy(policy)),
})

const COUNTS = [1, 2, 3]
const STRICT = COUNTS.flatMap(w => COUNTS.map(r => quorum(`W = ${w}, R = ${r}`, { w, r })))
const SLOPPY = quorum("W = 2, R = 2, sloppy", { w: 2, r: 2, isSloppy: true })
const ATOMIC = quorum("W = 2, R = 2, two rounds", { w: 2, r: 2, isAtomic: true })

export const HAYLOFT: readonly Contender[] = [hayloft("replica:3"), hayloft("ec:4+2")]
export const CONTENDERS: readonly Contender[] = [...STRICT, SLOPPY, ATOMIC, ...HAYLOFT]

/** The histories of a contender: one for each fault, in their order. */
interface Played {
  readonly name: string
  readonly histories: readonly History[]
}

const play = ({ name, make }: Contender, seed: number): Played => ({
  name,
  histories: FAULTS.map((fault, at) => new History(make, fault, FAULTS.length * seed + at)),
})

function historiesTable(played: readonly Played[]): StudyTable {
  const row = ({ name, histories }: Played): string[] => {
    const writes = histories.flatMap(history => history.writes)
    const reads = histories.flatMap(history => history.reads)
    const answered = reads.filter(({ found }) => found !== undefined).length
    const of = (count: (history: History) => number): number => sum(histories.map(count))
    const checked = histories.map(history => history.explainedKeys)
    return [
      name,
      figure(writes.filter(({ end }) => end === "done").length),
      figure(answered),
      figure(of(history => history.staleReads)),
      figure(of(history => history.lostWrites)),
      `${sum(checked.map(({ explained }) => explained))} of ${sum(checked.map(({ keys }) => keys))}`,
    ]
  }
  const head = ["rule", "writes acknowledged", "reads answered", "stale reads", "writes that an older one replaced"]
  return { head: [...head, "keys with an order that explains all answers"], rows: played.map(row) }
}

/** The share of a client's operations that succeed, as a mean over clients: one that is refused soon tries more often. */
function shareOfClients<T extends { readonly client: number; readonly startMs: number }>(
  all: readonly T[],
  succeeds: (each: T) => boolean,
): number {
  const during = all.filter(({ startMs }) => startMs >= RUN.faultFromMs && startMs < RUN.faultToMs)
  const clients = [...new Set(during.map(({ client }) => client))].map(of =>
    during.filter(({ client }) => client === of),
  )
  return mean(clients.map(own => own.filter(succeeds).length / own.length))
}

const availability = ({ writes, reads }: History): string =>
  [shareOfClients(writes, ({ end }) => end === "done"), shareOfClients(reads, ({ found }) => found !== undefined)]
    .map(share => percent(share, 0))
    .join(", ")

const SHOWN = ["W = 1, R = 1", "W = 2, R = 2", "W = 3, R = 1", SLOPPY.name, ...HAYLOFT.map(({ name }) => name)]

function availabilityTable(played: readonly Played[]): StudyTable {
  const shown = played.filter(({ name }) => SHOWN.includes(name))
  const row = (name: string, at: number): string[] => [
    name,
    ...shown.flatMap(({ histories }) => histories.slice(at, at + 1).map(availability)),
  ]
  return {
    head: ["writes, reads that succeed during the fault", ...shown.map(({ name }) => name)],
    rows: FAULTS.map(({ name }, at) => row(name, at)),
  }
}

const [HEALTHY, TWO_VANISH, SLOW] = [0, 2, 3]

function latencyTable(played: readonly Played[]): StudyTable {
  const cells = (histories: readonly History[], at: number): string[] => {
    const ms = (each: { readonly startMs: number; readonly endMs: number }): number => each.endMs - each.startMs
    const writes = histories[at]?.writes.filter(({ end }) => end === "done").map(ms) ?? []
    const reads = histories[at]?.reads.filter(({ found }) => found !== undefined).map(ms) ?? []
    const shares = [0.5, 0.99, 0.999]
    return [writes, reads].map(times => shares.map(share => figure(percentile(times, share))).join(", "))
  }
  const row = ({ name, histories }: Played): string[] => [name, ...cells(histories, HEALTHY), ...cells(histories, SLOW)]
  const head = ["milliseconds, 50 %, 99 %, 99.9 %", "writes, 1 % of disk operations slow", "reads"]
  return { head: [...head, "writes, a server slow too", "reads "], rows: played.map(row) }
}

function lossesTable(played: readonly Played[]): StudyTable {
  const cells = (histories: readonly History[], at: number): string[] => {
    const survived = [...(histories[at]?.store.survives.values() ?? [])]
    const share = (losses: number): string =>
      percent(survived.filter(each => each >= losses).length / survived.length, 1)
    return [share(1), share(2)]
  }
  const row = ({ name, histories }: Played): string[] => [
    name,
    figure(histories[HEALTHY]?.store.bytesPerByte ?? 0, 2),
    ...cells(histories, HEALTHY),
    ...cells(histories, TWO_VANISH),
  ]
  const head = ["rule", "bytes on disks for each", "survive any lost disk", "any two", "if two servers vanish: any one"]
  return { head: [...head, "any two "], rows: played.map(row) }
}

const SPLIT = 5

function cartsTable(seed: number): StudyTable {
  const rules = [...CONTENDERS.filter(({ name }) => /W = 2, R = 2/.test(name)), ...HAYLOFT]
  const row = (name: string, make: StoreMaker, isConditional: boolean): string[] => [
    name,
    ...FAULTS.filter((_, at) => at === HEALTHY || at === SPLIT).flatMap(fault => {
      const { acknowledged, lost } = cartsUnder(make, isConditional, fault, seed)
      return [figure(acknowledged), figure(lost)]
    }),
  ]
  return {
    head: ["rule", "additions acknowledged", "lost", "split 3 : 3: additions acknowledged", "lost "],
    rows: [
      ...rules.map(({ name, make }) => row(name, make, false)),
      ...HAYLOFT.map(({ name, make }) => row(`${name}, \`If-Match\``, make, true)),
    ],
  }
}

export const quorumStudy: Study = {
  nodes: RUN.servers,
  run({ seed }) {
    const played = CONTENDERS.map(contender => play(contender, seed))
    return {
      quorumHistories: historiesTable(played),
      quorumAvailability: availabilityTable(played),
      quorumLatency: latencyTable(played.filter(({ name }) => name.includes("W = 2") || name.includes("Hayloft"))),
      quorumLosses: lossesTable(played.filter(({ name }) => !/R = [13]/.test(name))),
      quorumCarts: cartsTable(seed),
    }
  },
}

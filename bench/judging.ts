/**
 * What it costs to judge how safe a store is, in milliseconds of processor time: the main thread does it
 * every 5 s while objects come, and answers nobody meanwhile.
 *
 * The store is as wide as stores get: 32 devices, one of them out, 10+4, shards moving from 30 devices to 32.
 */
import { DEVICES_MAX, PARTITIONS } from "../src/base/limits.js"
import { parseDeviceId } from "../src/base/ids.js"
import { parsePolicy } from "../src/base/policy.js"
import { SafetyJudge, type SafetyInput } from "../src/cluster/index.js"
import { planLayout, planNext } from "../src/placement/index.js"

export const JUDGE_MS_MAX = 50

export interface JudgingResult {
  readonly what: string
  readonly milliseconds: number
  readonly isMet: boolean
}

/** More than a compiler needs to see. */
const WARM_ROUNDS = 25
const WIDTH = 14
const NEW_DEVICES = 2

function widestStore(): SafetyInput {
  const ids = Array.from({ length: DEVICES_MAX }, (_, i) => parseDeviceId((i + 1).toString(16).padStart(16, "0")))
  const weighted = ids.map(id => ({ id, weight: 1 }))
  const fresh = ids.slice(-NEW_DEVICES)
  const previousLayout = planLayout(weighted.slice(0, -NEW_DEVICES), WIDTH)
  return {
    devices: ids.map((id, i) => ({ id, disk: id, state: i === 3 ? "out" : fresh.includes(id) ? "filling" : "active" })),
    layout: planNext(previousLayout, weighted, WIDTH, previousLayout.version + 1),
    previousLayout,
    policies: [{ policy: parsePolicy("ec:10+4"), bytes: 1e12, isLeaving: false }],
    names: { members: ids.slice(4, 9), learners: [], copiesWanted: 5 },
    // Half of what moves has arrived.
    lacking: new Map(fresh.map(id => [id, new Uint8Array(PARTITIONS).fill(1, PARTITIONS / 2)])),
    oddGroups: [],
  }
}

function processorMs(work: () => unknown): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

function median(work: () => unknown): number {
  const took = Array.from({ length: WARM_ROUNDS }, () => processorMs(work)).sort((a, b) => a - b)
  return took[WARM_ROUNDS >> 1] ?? 0
}

/** The first of these is the first of the process only where nothing has judged before. */
export function judgingScenario(): readonly JudgingResult[] {
  const input = widestStore()
  const grown = (bytes: number): SafetyInput => ({
    ...input,
    policies: input.policies.map(use => ({ ...use, bytes: use.bytes + bytes })),
  })
  const judge = new SafetyJudge()
  const results = [
    { what: "the first of a process", milliseconds: processorMs(() => judge.judge(input)) },
    { what: "anew, once compiled", milliseconds: median(() => new SafetyJudge().judge(input)) },
    { what: "again, with more bytes", milliseconds: median(() => judge.judge(grown(performance.now()))) },
  ]
  return results.map(({ what, milliseconds }) => ({
    what,
    milliseconds: Math.round(milliseconds * 100) / 100,
    isMet: milliseconds <= JUDGE_MS_MAX,
  }))
}

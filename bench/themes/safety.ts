/**
 * The cost of evaluating how safe a store is, in milliseconds of processor time: the main thread does it
 * every 5 s while objects arrive, and answers no request meanwhile.
 *
 * The store is as wide as stores get: 32 devices, one of them offline, 10+4, shards moving from 30 devices to 32.
 */
import { DEVICES_MAX, PARTITIONS } from "@hayloft/base/limits.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { SafetyEvaluator, type SafetyInput } from "@hayloft/engine/cluster/index.js"
import { planLayout, planNext } from "@hayloft/engine/placement/index.js"
import { all, atMost, type Measured, type Row } from "../row.js"
import { theme, type Fixture } from "../theme.js"

const EVALUATION_MS_MAX = 50

/** More rounds than the compiler needs. */
const WARM_ROUNDS = 25
const WIDTH = 14
const NEW_DEVICES = 2

function widestStore(): SafetyInput {
  const ids = Array.from({ length: DEVICES_MAX }, (_, i) => parseDeviceId((i + 1).toString(16).padStart(16, "0")))
  const weighted = ids.map(id => ({ id, weight: 1 }))
  const fresh = ids.slice(-NEW_DEVICES)
  const previousLayout = planLayout(weighted.slice(0, -NEW_DEVICES), WIDTH)
  return {
    devices: ids.map((id, i) => ({
      id,
      disk: id,
      state: i === 3 ? "offline" : fresh.includes(id) ? "rebuilding" : "active",
    })),
    layout: planNext(previousLayout, weighted, WIDTH, previousLayout.version + 1),
    previousLayout,
    policies: [{ policy: parsePolicy("ec:10+4"), bytes: 1e12, isDecommissioning: false }],
    metadata: { replicas: ids.slice(4, 9), learners: [], copiesWanted: 5 },
    // Half of the moving shards have arrived.
    lacking: new Map(fresh.map(id => [id, new Uint8Array(PARTITIONS).fill(1, PARTITIONS / 2)])),
    misplacedGroups: [],
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

/** The first measurement is valid only if the process has not evaluated before. */
class SafetyFixture implements Fixture {
  private readonly input = widestStore()
  private readonly evaluate = new SafetyEvaluator()

  first(): Measured {
    return { figure: processorMs(() => this.evaluate.evaluate(this.input)), unit: "CPU ms" }
  }

  repeated(): Measured {
    return { figure: median(() => new SafetyEvaluator().evaluate(this.input)), unit: "CPU ms" }
  }

  again(): Measured {
    const grown = (bytes: number): SafetyInput => ({
      ...this.input,
      policies: this.input.policies.map(use => ({ ...use, bytes: use.bytes + bytes })),
    })
    return { figure: median(() => this.evaluate.evaluate(grown(performance.now()))), unit: "CPU ms" }
  }

  async close(): Promise<void> {
    // The fixture uses only memory.
  }
}

const TARGET = all(atMost("figure", EVALUATION_MS_MAX))

const rows: readonly Row<SafetyFixture>[] = [
  { work: "evaluating safety, the first of a process", target: TARGET, measure: async it => it.first(), isOnce: true },
  { work: "evaluating safety again, once compiled", target: TARGET, measure: async it => it.repeated() },
  { work: "evaluating safety again, with more bytes", target: TARGET, measure: async it => it.again() },
]

export const SAFETY = theme({ name: "safety", open: async () => new SafetyFixture(), rows: () => rows })

/**
 * Transforms in a running store, if they are switched on: their processes, the modules and results that are kept, and the
 * objects that were just written.
 */
import { availableParallelism } from "node:os"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import { STEWARD_LEASE } from "@hayloft/node/cluster/steward.js"
import { StoredObjects } from "@hayloft/objects/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { ProcessSandbox } from "@hayloft/base/seams/sandbox/index.js"
import type { Log, Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import {
  Modules,
  MODULES_PREFIX,
  Results,
  RESULTS_PREFIX,
  TRANSFORM_ADMIN,
  TRANSFORM_LIMITS,
  type SharedTransforms,
  Transforms,
  type TransformAnswer,
  type TransformTask,
} from "@hayloft/features/transforms/index.js"
import type { ServingParts } from "../ports/ports.js"

const ENTRY = new URL("./transform-worker.js", import.meta.url)
/** More would take the cores from requests. */
const PROCESSES_MAX = 4
/** Processes that work at transforms, for all threads that serve. */
export const TRANSFORM_PROCESSES = Math.min(PROCESSES_MAX, availableParallelism())
/** Processes without work end. */
const IDLE_MS = 60_000

interface TransformSeams {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

export class StoreTransforms {
  readonly transforms: Transforms
  private readonly sandbox: ProcessSandbox<TransformTask, TransformAnswer>
  private readonly results: Results

  constructor(
    { clock, log, metrics }: TransformSeams,
    { engine, leases }: ServingParts,
    sizeBytesMax: number,
    signal: AbortSignal,
    shared?: SharedTransforms,
  ) {
    const { objects, buckets, tablet: metadata } = engine.services
    const { taskMs, heapMib, waitingMax } = TRANSFORM_LIMITS
    this.sandbox = new ProcessSandbox(
      ENTRY,
      { processes: TRANSFORM_PROCESSES, taskMs, heapMib, waitingMax, idleMs: IDLE_MS },
      clock,
    )
    const stored = (prefix: string) => new StoredObjects({ objects, metadata }, prefix)
    const modules = new Modules(stored(MODULES_PREFIX), code => this.transforms.checkModule(code))
    this.results = new Results({
      clock,
      log,
      metrics,
      objects,
      stored: stored(RESULTS_PREFIX),
      sizeBytesMax,
      openBucket: async name => buckets.open(name),
      isWriter: () => leases === undefined || leases.holds(STEWARD_LEASE),
      isStoreFull: () => engine.services.core.blocks.isFull,
    })
    const counter = metrics.counter("hayloft_transforms_total", "Transforms of objects, by their outcome")
    const onMade = (outcome: string): void => counter.add({ outcome })
    const { sandbox, results } = this
    this.transforms = new Transforms({ sandbox, shared, modules, results, clock, signal, onMade, objects, log })
    TRANSFORM_ADMIN.set(engine.services.core, {
      modules: () => modules.list(),
      putModule: (name, code, contentType) => modules.put(name, code, contentType),
      removeModule: name => modules.remove(name),
      report: async () => {
        const { running, waiting } = sandbox
        const versions = await this.transforms.versions()
        return { threads: TRANSFORM_PROCESSES, running, waiting, versions, results: results.report() }
      },
    })
    this.register(metrics)
    signal.addEventListener("abort", () => void sandbox.close(), { once: true })
  }

  get services(): readonly BackgroundService[] {
    return [this.results.eviction, this.transforms.written]
  }

  private register(metrics: Metrics): void {
    const { sandbox, results } = this
    metrics.gauge("hayloft_transform_tasks_running", "Processes that work at transforms", () => [[{}, sandbox.running]])
    const waiting = "Tasks of transforms that wait for a process"
    metrics.gauge("hayloft_transform_tasks_waiting", waiting, () => [[{}, sandbox.waiting]])
    const bytes = "Results of rules of buckets that are kept"
    metrics.gauge("hayloft_transform_results_bytes", bytes, () => [[{}, results.report().sizeBytes]])
  }
}

/**
 * Front threads: what a request costs the engine thread, the fronts and all threads together of a server with one front
 * thread, beside the same server without one, in alternating rounds; and the memory of each further front.
 *
 * Measured is the processor time by thread, from /proc. Threads of one name collect garbage and compile for all isolates
 * (`V8Worker`): in shares their time counts for the engine thread and the fronts in proportion of their own. The rows that
 * begin with `COMPUTED` are not measured: they say what more cores can do at most with these shares (`thread-bound.ts`).
 */
import { fileURLToPath } from "node:url"
import { must } from "@hayloft/base/assert.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { runLoad, type LoadResult } from "@hayloft/client/load/raw-load.js"
import type { RawRequest } from "@hayloft/client/load/raw-connection.js"
import { NODE_24, noNode24 } from "../../tests/harness/new-node.js"
import type { Bench } from "../bench.js"
import { FormStore } from "../form-store.js"
import { CPU_SECONDS_MIN, cpuSecondsByThread, cpuSecondsOf, MAIN_THREAD, residentMegabytes } from "../process-usage.js"
import { IN_SIGNED_CHUNKS, list, put, read, type RequestForm } from "../request-forms.js"
import { all, atMost, median, Unmeasured, type Measured, type Row } from "../row.js"
import { shareOf, type Scale } from "../scale.js"
import { theme, type Fixture } from "../theme.js"
import { mostOn, timesOn, type Full, type RequestTime } from "../thread-bound.js"

const NAME = "threads"
/** Seen from dist/bench/themes/. */
const ROOT = fileURLToPath(new URL("../../..", import.meta.url))
const SMALL_BYTES = 4 * KIB
const LARGE_BYTES = 64 * MIB
const LISTED_KEYS = 100
/** Requests that a load of small objects repeats, and the objects that its reads cycle through. */
const [PREPARED, READ_OBJECTS] = [1000, 200]
/** Objects whose rows, if each is read in turn, a front has dropped before it is asked for one again. */
const MANY_OBJECTS = 20_000
/** Buffers of connections that read large answers. */
const BUFFER_BYTES = MIB
/** Before the first round of a form its requests are repeated so often, until code is compiled, for so many rounds at most. */
const WARM_REPEATS = 10
const WARM_ROUNDS_MAX = 4
/** The first form of a process is warmed up for so many rounds at most. */
const WARM_ROUNDS_OF_START_MAX = 12
const RATIO_MAX = 1.25
/** The forms whose slowest answers are compared, at half load. */
const TAILS: readonly string[] = ["PUT 4 KiB", "GET 4 KiB", "GET 4 KiB of many objects", "LIST of 100 keys"]
const TAIL_RATIO_MAX = 1.3
const CORES = [4, 8, 16, 32] as const
const [FRONTS_FEWEST, FRONTS_MOST] = [1, 3]
const IDLE_MEGABYTES_MAX = 60
const LOADED_MEGABYTES_MAX = 150

/** Threads by name. `fronts` are all that are named `front-N`, `others` those that make checkpoints, running or ended. */
type Group = typeof MAIN_THREAD | "fronts" | "V8Worker" | "libuv-worker" | "compute" | "others"
const FRONT = /^front-\d+$/

/** A form of request, and how it is sent. */
interface Work {
  readonly form: RequestForm
  readonly connections: number
  readonly requests: number
  readonly bufferBytes?: number
  /** The engine thread should use at most this share of the processor time of all. */
  readonly shareMax: number
}

function worksOf(scale: Scale): readonly Work[] {
  const { connections, largeBytes } = scale
  const many = shareOf(scale, MANY_OBJECTS)
  const keys = shareOf(scale, READ_OBJECTS)
  const small = { connections, requests: shareOf(scale, PREPARED) }
  const few = Math.ceil(connections / 4)
  const medium = { connections: few, requests: few, bufferBytes: BUFFER_BYTES, shareMax: 0.1 }
  const fewest = Math.ceil(connections / 16)
  const large = { connections: fewest, requests: fewest, bufferBytes: BUFFER_BYTES, shareMax: 0.05 }
  const bytes = Math.min(LARGE_BYTES, largeBytes)
  return [
    { form: put(SMALL_BYTES), ...small, shareMax: 0.3 },
    { form: put(SMALL_BYTES, IN_SIGNED_CHUNKS), ...small, shareMax: 0.3 },
    { form: read(SMALL_BYTES, { keys }), ...small, shareMax: 0.2 },
    { form: read(SMALL_BYTES, { keys, method: "HEAD" }), ...small, shareMax: 0.2 },
    { form: read(SMALL_BYTES, { adds: "of many objects", keys: many }), connections, requests: many, shareMax: 0.2 },
    { form: list(LISTED_KEYS), ...small, shareMax: 0.3 },
    { form: put(MIB), ...medium },
    { form: put(MIB, IN_SIGNED_CHUNKS), ...medium },
    { form: read(MIB), ...medium },
    { form: put(bytes), ...large },
    { form: put(bytes, IN_SIGNED_CHUNKS), ...large },
    { form: read(bytes), ...large },
  ]
}

/** Microseconds of processor time of one request. */
interface Cost extends RequestTime {
  /** The time of each group of threads by itself. */
  readonly byThread: Readonly<Record<Group, number>>
  readonly perSecond: number
}

/** A server with this number of front threads. */
class Side {
  private readonly warm = new Set<RequestForm>()

  private constructor(
    private readonly bench: Bench,
    private readonly forms: FormStore,
  ) {}

  /** Throws `Unmeasured` if there is no Node whose threads share a port. */
  static async open(bench: Bench, fronts: number): Promise<Side> {
    if (NODE_24 === undefined) throw new Unmeasured(String(noNode24))
    const args = ["--threads", String(fronts)]
    const store = { name: `threads-${fronts}`, checkout: ROOT, folders: 1, args, node: NODE_24 }
    const side = new Side(bench, await FormStore.open(bench, store))
    const found = [...(await cpuSecondsByThread(side.pid)).keys()].filter(name => FRONT.test(name)).length
    if (found === fronts) return side
    await side.close()
    throw new Error(`the server has ${found} front threads instead of ${fronts}`)
  }

  close(): Promise<void> {
    return this.forms.close()
  }

  private get pid(): number {
    return this.forms.store.pid
  }

  residentMegabytes(): Promise<number> {
    return residentMegabytes(this.pid)
  }

  /** Prepares the form and runs its code until it is compiled, unless an earlier round did. */
  async ready(work: Work): Promise<void> {
    if (this.warm.has(work.form)) return
    const roundsMax = shareOf(this.bench.scale, this.warm.size === 0 ? WARM_ROUNDS_OF_START_MAX : WARM_ROUNDS_MAX)
    let answered = 0
    for (let round = 0; round < roundsMax && answered < WARM_REPEATS * work.requests; round += 1) {
      answered += (await this.load(work)).count
    }
    this.warm.add(work.form)
    await this.forms.store.quiet()
  }

  /** `perSecond`: requests are due at this rate, and their times count from then on; as many as there are answers if absent. */
  async load(work: Work, perSecond?: number): Promise<LoadResult> {
    return this.sent(work, await this.prepared(work), perSecond)
  }

  /** Signs again for each load, since a store refuses old signatures. */
  private prepared({ form, requests }: Work): Promise<readonly RawRequest[]> {
    return form.prepare(this.forms, requests)
  }

  private async sent(
    { connections, bufferBytes, form }: Work,
    requests: readonly RawRequest[],
    perSecond?: number,
  ): Promise<LoadResult> {
    const { clock, signal, scale } = this.bench
    const { answerBytes: expectBytes } = form
    let turn = 0
    const next = () => {
      const request = must(requests[turn++ % requests.length], "a load has requests")
      return { request, bytes: 0, ...(expectBytes === undefined ? {} : { expectBytes }) }
    }
    const { endpoint } = this.forms.forge
    const rate = perSecond === undefined ? { seconds: scale.seconds } : { seconds: scale.tailSeconds, perSecond }
    const plan = { endpoint, connections, next, ...rate }
    const load = await runLoad(bufferBytes === undefined ? plan : { ...plan, bufferBytes }, clock, signal)
    if (load.firstError !== undefined) throw new Error(`a request failed: ${load.firstError}`)
    return load
  }

  async costOf(work: Work): Promise<Cost> {
    const requests = await this.prepared(work)
    const before = await this.seconds()
    const { count, operationsPerSecond: perSecond } = await this.sent(work, requests)
    const after = await this.seconds()
    const micros = (group: Group, least = 0): number => (Math.max(least, after[group] - before[group]) * 1e6) / count
    const byThread = {
      [MAIN_THREAD]: micros(MAIN_THREAD, CPU_SECONDS_MIN),
      fronts: micros("fronts"),
      V8Worker: micros("V8Worker"),
      "libuv-worker": micros("libuv-worker"),
      compute: micros("compute"),
      others: micros("others"),
    }
    const [engine, fronts] = [byThread[MAIN_THREAD], byThread.fronts]
    const withGarbage = (part: number): number => part * (1 + byThread.V8Worker / (engine + fronts))
    const all = totalOf(byThread)
    return { engine: withGarbage(engine), fronts: withGarbage(fronts), all, byThread, perSecond }
  }

  private async seconds(): Promise<Readonly<Record<Group, number>>> {
    const threads = [...(await cpuSecondsByThread(this.pid))]
    const whole = await cpuSecondsOf(this.pid)
    const sumOf = (isOf: (name: string) => boolean): number =>
      threads.reduce((sum, [name, seconds]) => (isOf(name) ? sum + seconds : sum), 0)
    const named = {
      [MAIN_THREAD]: sumOf(name => name === MAIN_THREAD),
      fronts: sumOf(name => FRONT.test(name)),
      V8Worker: sumOf(name => name === "V8Worker"),
      "libuv-worker": sumOf(name => name === "libuv-worker"),
      compute: sumOf(name => name === "compute"),
    }
    // Whole ticks, of which the sum of floating-point numbers differs a little.
    return { ...named, others: Math.max(0, Number((whole - totalOf(named)).toFixed(2))) }
  }
}

const totalOf = (seconds: Readonly<Record<string, number>>): number =>
  Object.values(seconds).reduce((sum, each) => sum + each, 0)

/** The figures of one round. */
interface OfBoth<T> {
  readonly threaded: T
  readonly alone: T
}

class Threads implements Fixture {
  private readonly pairs = new Map<string, readonly OfBoth<Cost>[]>()
  private tails = 0

  private constructor(
    private readonly threaded: Side,
    private readonly alone: Side,
  ) {}

  static async open(bench: Bench): Promise<Threads> {
    const threaded = await Side.open(bench, 1)
    try {
      return new Threads(threaded, await Side.open(bench, 0))
    } catch (error) {
      await threaded.close()
      throw error
    }
  }

  async close(): Promise<void> {
    await this.threaded.close()
    await this.alone.close()
  }

  async measure(work: Work): Promise<Measured> {
    const earlier = this.pairs.get(work.form.name) ?? []
    await this.ready(work)
    const pair = await this.inTurn(earlier.length % 2 === 0, side => side.costOf(work))
    this.pairs.set(work.form.name, [...earlier, pair])
    const { threaded, alone } = pair
    return {
      figure: threaded.all,
      unit: "CPU µs",
      limit: alone.all,
      also: {
        engineShare: threaded.engine / threaded.all,
        frontShare: threaded.fronts / threaded.all,
        perSecond: threaded.perSecond,
        alonePerSecond: alone.perSecond,
        ...threaded.byThread,
        aloneMainThread: alone.byThread[MAIN_THREAD],
        aloneV8Worker: alone.byThread.V8Worker,
      },
    }
  }

  /** The servers take turns in who is first. */
  private async inTurn<T>(isThreadedFirst: boolean, measure: (side: Side) => Promise<T>): Promise<OfBoth<T>> {
    if (!isThreadedFirst) {
      const alone = await measure(this.alone)
      return { threaded: await measure(this.threaded), alone }
    }
    const threaded = await measure(this.threaded)
    return { threaded, alone: await measure(this.alone) }
  }

  /** The time within which 99 % of requests are answered at half of what the single thread can do. */
  async tail(work: Work): Promise<Measured> {
    await this.ready(work)
    const perSecond = (await this.alone.load(work)).operationsPerSecond / 2
    this.tails += 1
    const { threaded, alone } = await this.inTurn(this.tails % 2 === 0, side => side.load(work, perSecond))
    const also = { perSecond, p50Ms: threaded.p50Ms, aloneP50Ms: alone.p50Ms }
    return { figure: threaded.p99Ms, unit: "ms", limit: alone.p99Ms, also }
  }

  private async ready(work: Work): Promise<void> {
    await this.threaded.ready(work)
    await this.alone.ready(work)
  }

  computed({ form }: Work): Measured {
    const pairs = this.pairs.get(form.name)
    if (pairs === undefined) throw new Unmeasured("is computed from a row that was left out")
    const medianOf = (of: (pair: OfBoth<Cost>) => number): number => median(pairs.map(of))
    const medians = (side: keyof OfBoth<Cost>): RequestTime => ({
      engine: medianOf(pair => pair[side].engine),
      fronts: medianOf(pair => pair[side].fronts),
      all: medianOf(pair => pair[side].all),
    })
    const [threaded, alone] = [medians("threaded"), medians("alone")]
    const [four, eight, sixteen, most] = CORES
    return {
      figure: timesOn(most, threaded, alone),
      unit: `× one thread, ${most} cores`,
      also: {
        on4: timesOn(four, threaded, alone),
        on8: timesOn(eight, threaded, alone),
        on16: timesOn(sixteen, threaded, alone),
        engineFullFromCores: threaded.all / threaded.engine,
      },
      remark: `computed, not measured; full first: ${fullTexts(threaded).join(", ")}`,
    }
  }
}

/** Names what is full first, with the numbers of cores. */
function fullTexts(threaded: RequestTime): readonly string[] {
  const cores = new Map<Full, number[]>()
  for (const count of CORES) {
    const { full } = mostOn(count, threaded)
    cores.set(full, [...(cores.get(full) ?? []), count])
  }
  return [...cores].map(([full, counts]) => `${full} on ${counts.join("/")}`)
}

function rowsOf(scale: Scale): Row<Threads>[] {
  const works = worksOf(scale)
  return [
    ...works
      .filter(({ form }) => TAILS.includes(form.name))
      .map(work => ({
        work: `p99 at half load: ${work.form.name}`,
        target: all(atMost("ratio", TAIL_RATIO_MAX)),
        measure: (it: Threads) => it.tail(work),
      })),
    ...works.map(work => ({
      work: work.form.name,
      target: all(atMost("engineShare", work.shareMax), atMost("ratio", RATIO_MAX)),
      measure: (it: Threads) => it.measure(work),
    })),
    ...works.map(work => ({
      work: `COMPUTED, at most: ${work.form.name}`,
      measure: async (it: Threads) => it.computed(work),
      isOnce: true,
    })),
  ]
}

export const THREADS = theme({ name: NAME, isOnRequest: true, open: bench => Threads.open(bench), rows: rowsOf })

/** Three servers, with 1, 2 and 3 front threads. */
class MemoryOfFronts implements Fixture {
  private constructor(
    private readonly bench: Bench,
    private readonly sides: readonly Side[],
  ) {}

  static async open(bench: Bench): Promise<MemoryOfFronts> {
    const sides: Side[] = []
    try {
      for (let fronts = FRONTS_FEWEST; fronts <= FRONTS_MOST; fronts += 1) sides.push(await Side.open(bench, fronts))
      return new MemoryOfFronts(bench, sides)
    } catch (error) {
      for (const side of sides) await side.close()
      throw error
    }
  }

  async close(): Promise<void> {
    for (const side of this.sides) await side.close()
  }

  async idle(): Promise<Measured> {
    await this.bench.clock.sleep(this.bench.scale.idleSeconds * 1000, this.bench.signal)
    return this.ofFurther()
  }

  /** After the load of every form of small and medium requests, one server after the other. */
  async loaded(): Promise<Measured> {
    const works = worksOf(this.bench.scale).filter(({ shareMax }) => shareMax >= 0.1)
    for (const side of this.sides) for (const work of works) await side.load(work)
    return this.ofFurther()
  }

  private async ofFurther(): Promise<Measured> {
    const [one = 0, two = 0, three = 0] = await Promise.all(this.sides.map(side => side.residentMegabytes()))
    const figure = (three - one) / (FRONTS_MOST - FRONTS_FEWEST)
    return { figure, unit: "MB", also: { with1: one, with2: two, with3: three } }
  }
}

export const MEMORY_OF_FRONTS = theme({
  name: NAME,
  isOnRequest: true,
  open: bench => MemoryOfFronts.open(bench),
  rows: () => [
    {
      work: "memory of each further front, idle",
      target: all(atMost("figure", IDLE_MEGABYTES_MAX)),
      measure: it => it.idle(),
      isOnce: true,
    },
    {
      work: "memory of each further front, after load",
      target: all(atMost("figure", LOADED_MEGABYTES_MAX)),
      measure: it => it.loaded(),
      isOnce: true,
    },
  ],
})

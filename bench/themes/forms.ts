/**
 * Forms of request: processor time of the server's process per request, over all threads, and its ratio to the
 * plain form.
 *
 * To compare with another checkout, a server of each build runs on its own data. The same client alternates between
 * the two in short turns, so that a slowdown of the machine affects both. The other's figure is the limit:
 * "before".
 */
import { fileURLToPath } from "node:url"
import { must } from "@hayloft/base/assert.js"
import type { RawRequest } from "@hayloft/client/load/raw-connection.js"
import type { Bench } from "../bench.js"
import { builtCheckout } from "../checkout.js"
import { FormStore, type FormStoreOptions } from "../form-store.js"
import { CPU_SECONDS_MIN } from "../process-usage.js"
import { FORMS, type RequestForm } from "../request-forms.js"
import { all, atMost, median, type Measured, type Row, type Target } from "../row.js"
import { theme, type Fixture, type Theme } from "../theme.js"
import { inTurns, TurnTaker } from "../turns.js"

/** Seen from dist/bench/themes/. */
const ROOT = fileURLToPath(new URL("../../..", import.meta.url))
/** Requests that a load repeats. */
const PREPARED = 200
/** The number of requests per second of a round, for forms whose requests can be sent only once. */
const ONCE_PER_SECOND = 8000
/** Warm-up before the first round of a form, and before the first round of a process. */
const WARM_ROUNDS = 1
const WARM_ROUNDS_OF_START = 4

const TIMES_PLAIN_MAX = 1.5
const PLAIN_RATIO_MAX = 1.05
const LIST_MICROSECONDS_MAX = 250

/** A server, and the form for which it is prepared. */
class Side {
  private form: RequestForm | undefined
  private requests: readonly RawRequest[] = []
  private isCold = true

  private constructor(
    private readonly bench: Bench,
    private readonly options: FormStoreOptions,
    private opened: FormStore,
  ) {}

  static async open(bench: Bench, options: FormStoreOptions): Promise<Side> {
    return new Side(bench, options, await FormStore.open(bench, options))
  }

  close(): Promise<void> {
    return this.opened.close()
  }

  get forms(): FormStore {
    return this.opened
  }

  /** Restarts the server with or without TLS. A new store has no pending background work after the restart. */
  private async speak(isSecure: boolean): Promise<void> {
    if (this.opened.isSecure === isSecure) return
    await this.opened.close()
    this.opened = await FormStore.open(this.bench, this.options)
    await this.opened.speak(isSecure)
    this.isCold = true
  }

  /** Prepares and warms up the form, unless the last round measured it. */
  async ready(form: RequestForm): Promise<void> {
    if (form === this.form) return
    await this.speak(form.isOverTls === true)
    this.form = form
    if (form.isOnce !== true) this.requests = await form.prepare(this.forms, PREPARED)
    const rounds = this.isCold ? WARM_ROUNDS_OF_START : WARM_ROUNDS
    this.isCold = false
    for (let round = 0; round < rounds; round += 1) await microsecondsOf(this.bench, form, [this])
    await this.forms.store.quiet()
  }

  /** A load that is ready to begin. */
  async load(form: RequestForm): Promise<TurnTaker> {
    const isOnce = form.isOnce === true
    const count = Math.ceil(ONCE_PER_SECOND * this.bench.scale.seconds)
    const requests = isOnce ? await form.prepare(this.forms, count) : this.requests
    if (isOnce) await this.forms.store.quiet()
    const { trust, forge } = this.forms
    const { answerBytes } = form
    const load = new TurnTaker(this.bench, { ...trust, endpoint: forge.endpoint, requests, isOnce, answerBytes })
    await load.open()
    return load
  }
}

/** Microseconds of processor time per request of one round, by checkout. */
async function microsecondsOf(bench: Bench, form: RequestForm, sides: readonly Side[]): Promise<readonly number[]> {
  const loads: TurnTaker[] = []
  const cpuSeconds = () => Promise.all(sides.map(side => side.forms.store.cpuSeconds()))
  try {
    for (const side of sides) loads.push(await side.load(form))
    const before = await cpuSeconds()
    await inTurns(loads, bench.scale.seconds)
    const after = await cpuSeconds()
    const seconds = loads.map((_, i) => Math.max(CPU_SECONDS_MIN, (after[i] ?? 0) - (before[i] ?? 0)))
    return loads.map(({ answered }, i) => ((seconds[i] ?? 0) * 1e6) / answered)
  } finally {
    for (const load of loads) load.close()
  }
}

/** Microseconds of this checkout, and of the other one in the same round. */
interface Pair {
  readonly figure: number
  readonly limit: number | undefined
}

class Forms implements Fixture {
  /** Rounds of each form, for the forms that are compared with it. */
  private readonly rounds = new Map<string, Pair[]>()

  private constructor(
    private readonly bench: Bench,
    /** The server of this checkout, then that of the other one. */
    private readonly sides: readonly Side[],
  ) {}

  static async open(bench: Bench, { folders, beside }: FormsOptions): Promise<Forms> {
    const args = folders === 6 ? ["--redundancy", "ec:4+2"] : []
    const checkouts = beside === undefined ? [ROOT] : [ROOT, await builtCheckout(beside)]
    const sides: Side[] = []
    try {
      for (const [i, checkout] of checkouts.entries()) {
        sides.push(await Side.open(bench, { name: `forms-${i}`, checkout, folders, args }))
      }
      return new Forms(bench, sides)
    } catch (error) {
      for (const side of sides) await side.close()
      throw error
    }
  }

  async close(): Promise<void> {
    for (const side of this.sides) await side.close()
  }

  async measure(form: RequestForm): Promise<Measured> {
    const plain = form.plain === undefined ? undefined : formOf(form.plain)
    if (plain !== undefined && !this.rounds.has(plain.name)) await this.measure(plain)
    for (const side of this.sides) await side.ready(form)
    const [figure = 0, limit] = await microsecondsOf(this.bench, form, this.sides)
    this.rounds.set(form.name, [...(this.rounds.get(form.name) ?? []), { figure, limit }])
    const also = plain === undefined ? {} : { also: this.timesPlain({ figure, limit }, plain) }
    return { figure, unit: "CPU µs", ...(limit === undefined ? {} : { limit }), ...also }
  }

  private timesPlain({ figure, limit }: Pair, plain: RequestForm): Readonly<Record<string, number>> {
    const rounds = this.rounds.get(plain.name) ?? []
    const ofPlain = figure / median(rounds.map(round => round.figure))
    if (limit === undefined) return { ofPlain }
    return { ofPlain, ofPlainBefore: limit / median(rounds.map(round => round.limit ?? 0)) }
  }
}

const formOf = (name: string): RequestForm =>
  must(
    FORMS.find(form => form.name === name),
    "the plain form precedes its decorated forms",
  )

function targetOf({ name, plain }: RequestForm, isBeside: boolean): Target | undefined {
  if (plain !== undefined) return all(atMost("ofPlain", TIMES_PLAIN_MAX))
  if (name.startsWith("LIST")) return all(atMost("figure", LIST_MICROSECONDS_MAX))
  return isBeside ? all(atMost("ratio", PLAIN_RATIO_MAX)) : undefined
}

function rowOf(form: RequestForm, isBeside: boolean): Row<Forms> {
  const target = targetOf(form, isBeside)
  return { work: form.name, ...(target === undefined ? {} : { target }), measure: it => it.measure(form) }
}

export interface FormsOptions {
  /** 1, or 6 at 4+2. */
  readonly folders: number
  /** The folder of another checkout. */
  readonly beside: string | undefined
}

export const formsTheme = (options: FormsOptions): Theme =>
  theme({
    name: "forms",
    isOnRequest: true,
    open: bench => Forms.open(bench, options),
    rows: () => FORMS.filter(({ isLarge }) => isLarge !== true).map(form => rowOf(form, options.beside !== undefined)),
  })

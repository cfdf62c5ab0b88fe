/**
 * Runs units against one or two servers, each on a connection of its own, and compares what comes back.
 *
 * Promises  Both are sent the same bytes, but for ids and session tokens of their own; a unit begins once all answers to
 *           the one before it are there. A connection is opened again only where its server said that it closes.
 */
import type { Unit } from "./generate.js"
import { idsIn, Normaliser, tokenIn } from "./normalise.js"
import type { People } from "./people.js"
import { mayComeLate, render, writesOf, type Rendered, type Side, type Spec } from "./spec.js"
import { valueOf, Wire, type Answer, type Collected } from "./wire.js"

const ANSWER_MS = 15_000
const CLOSE_MS = 5_000
const REFUSED = 300

/** The end of an exchange whose body may still be on its way when the answer comes: the server closes before or after it. */
const EITHER = "either"
const STAYS = "stays open"

/**
 * Once the server has closed, what the client writes on resets the connection, and answers under way are lost: which
 * ones is a matter of time.
 */
const isPipelineInWrites = ({ specs }: Unit): boolean => specs.length > 1 && specs.some(({ cuts }) => cuts.length > 0)

/**
 * Servers up to 84162fb read behind a request whose head or framing was Node's to read; bytes there that were no request
 * took the answers of the whole requests before them away. Such pipelines are compared with recorded answers only.
 */
const isReadAhead = ({ specs }: Unit, isBesideAnother: boolean): boolean => isBesideAnother && specs.length > 1

export interface Outcome {
  readonly answers: readonly Answer[]
  /** Comparable with another server's. */
  readonly text: string
}

interface Written {
  readonly rendered: readonly Rendered[]
  /** Another server is sent the same. */
  readonly isBesideAnother: boolean
}

/** A server as one stream sees it. */
export class Player implements Side {
  readonly ids = new Map<number, readonly string[]>()
  readonly dates = new Map<number, string>()
  readonly tokens = new Map<number, string>()
  private wire: Wire | undefined
  private normaliser = new Normaliser(() => Date.now())

  constructor(
    readonly port: number,
    readonly people: People,
  ) {}

  /** Forgets what an earlier chapter has shown. */
  begin(): void {
    this.ids.clear()
    this.dates.clear()
    this.tokens.clear()
    this.normaliser = new Normaliser(() => Date.now())
    this.close()
  }

  close(): void {
    this.wire?.destroy()
    this.wire = undefined
  }

  /** `first`: the number of its first request. */
  async play(unit: Unit, { rendered, isBesideAnother }: Written, first: number, echoes: boolean): Promise<Outcome> {
    const wire = (this.wire ??= await Wire.open(this.port))
    const isLate = unit.kind === "requests" && unit.specs.some(mayComeLate)
    const collected = await exchange(wire, unit, rendered)
    const isRefused = (collected.answers.at(-1)?.status ?? REFUSED) >= REFUSED
    const state = isLate && isRefused ? this.leave() : await this.settle(wire, unit, collected)
    collected.answers.forEach((answer, i) => {
      this.ids.set(first + i, idsIn(answer))
      const date = valueOf(answer, "last-modified")
      if (date !== undefined) this.dates.set(first + i, date)
      const token = tokenIn(answer)
      if (token !== undefined) this.tokens.set(first + i, token)
    })
    const isMatterOfTime = isPipelineInWrites(unit) || isReadAhead(unit, isBesideAnother)
    if (isMatterOfTime && state !== STAYS) return { answers: collected.answers, text: "closed" }
    return { answers: collected.answers, text: this.normaliser.text(collected, state, echoes, isLate) }
  }

  private leave(): string {
    this.close()
    return EITHER
  }

  private async settle(wire: Wire, unit: Unit, { answers, ended, timedOut }: Collected): Promise<string> {
    const last = answers.at(-1)
    const saysClose = last !== undefined && valueOf(last, "connection")?.toLowerCase() === "close"
    const isOver = unit.kind === "truncated" || timedOut
    if (!saysClose && !isOver) {
      if (answers.length >= Math.max(1, unit.specs.length)) return STAYS
      this.close()
      return ended ? "ended" : "left"
    }
    const closed = await wire.closes(CLOSE_MS)
    this.close()
    return closed ? "closed" : "says that it closes, and does not"
  }
}

async function exchange(wire: Wire, unit: Unit, rendered: readonly Rendered[]): Promise<Collected> {
  if (unit.kind === "raw") {
    await wire.send([unit.bytes])
    return wire.collect(["GET"], ANSWER_MS)
  }
  const { specs } = unit
  const methods = specs.map(({ method }) => method)
  const [first] = rendered
  if (unit.kind === "truncated" && first !== undefined) {
    const bytes = Buffer.concat([first.head, first.body])
    await wire.send([bytes.subarray(0, bytes.length - unit.missing)])
    wire.finish()
    return wire.collect(methods, ANSWER_MS)
  }
  if (specs.length === 1 && specs[0].expect === "wait" && first !== undefined) {
    await wire.send(writesOf({ ...first, body: Buffer.alloc(0) }, specs[0].cuts))
    if (await wire.mayContinue(ANSWER_MS)) await wire.send([first.body])
    return wire.collect(methods, ANSWER_MS)
  }
  await wire.send(joined(rendered.map((one, i) => writesOf(one, specs[i]?.cuts ?? []))))
  return wire.collect(methods, ANSWER_MS)
}

/** The last write of a request and the first one of the next are one. */
function joined(requests: readonly (readonly Buffer[])[]): Buffer[] {
  const all: Buffer[] = []
  for (const [first = Buffer.alloc(0), ...more] of requests) {
    const last = all.pop()
    all.push(last === undefined ? first : Buffer.concat([last, first]), ...more)
  }
  return all
}

/** What each of the sides is sent. */
export function renderFor(sides: readonly Side[], specs: readonly Spec[], nowMs: number): readonly Written[] {
  const [first, ...others] = sides
  if (first === undefined) return []
  const rendered = specs.map(spec => render(spec, first, nowMs))
  return [
    { rendered, isBesideAnother: others.length > 0 },
    ...others.map(side => ({
      isBesideAnother: true,
      rendered: rendered.map((one, i) => {
        const spec = specs[i]
        return one.isOwn && spec !== undefined ? render(spec, side, nowMs) : one
      }),
    })),
  ]
}

export interface Played {
  readonly first: number
  readonly outcomes: readonly Outcome[]
  readonly written: readonly Written[]
}

/** One unit on all sides at once. `echoes`: whether repeated requests in errors are compared. */
export async function playUnit(
  players: readonly Player[],
  unit: Unit,
  first: number,
  echoes: boolean,
): Promise<Played> {
  const written = renderFor(players, unit.specs, Date.now())
  const shows = echoes && (written[0]?.rendered.every(({ isOwn }) => !isOwn) ?? true)
  const outcomes = await Promise.all(
    players.map((player, i) => player.play(unit, written[i] ?? { rendered: [], isBesideAnother: false }, first, shows)),
  )
  return { first, outcomes, written }
}

/** A refusal sent while the body is still arriving can be lost with the connection; the other side's then stands alone. */
const isLost = ({ answers, text }: Outcome): boolean => answers.length === 0 && text === EITHER

export function isSame({ outcomes }: Played): boolean {
  const arrived = outcomes.some(isLost) ? outcomes.filter(outcome => !isLost(outcome)) : outcomes
  return arrived.every(({ text }) => text === arrived[0]?.text && (arrived === outcomes || text.endsWith(EITHER)))
}

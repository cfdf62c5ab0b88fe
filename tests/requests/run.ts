/**
 * Runs units against one or two servers, each on its own connection, and compares the answers.
 *
 * Promises  Both servers receive the same bytes, except for their own ids and session tokens; a unit begins once
 *           all answers to the previous one have arrived. A connection is reopened only if the server announced
 *           that it closes.
 */
import type { Unit } from "./generate.js"
import { idsIn, Normaliser, tokenIn } from "./normalise.js"
import type { People } from "./people.js"
import { mayComeLate, render, writesOf, type Rendered, type Side, type Spec } from "./spec.js"
import { valueOf, Wire, type Answer, type Collected } from "./wire.js"

/** No request takes so long, unless the machine is busy. */
const ANSWER_MS = 60_000
const CLOSE_MS = 60_000
const REFUSED = 300

/**
 * The end of an exchange whose body may be in transit when the answer arrives: the server closes before or after it.
 */
const EITHER = "either"
const STAYS = "stays open"

/**
 * Once the server has closed, further writes of the client reset the connection, and answers in transit are lost;
 * which ones depends on timing.
 */
const isPipelineInWrites = ({ specs }: Unit): boolean => specs.length > 1 && specs.some(({ cuts }) => cuts.length > 0)

/**
 * Servers up to 84162fb read on after a request whose head or framing Node's parser reads; bytes there that were
 * not a request discarded the answers to earlier complete requests. Such pipelines are compared only with recorded
 * answers.
 */
const isReadAhead = ({ specs }: Unit, isBesideAnother: boolean): boolean => isBesideAnother && specs.length > 1

export interface Outcome {
  readonly answers: readonly Answer[]
  /** The normalised answer, comparable with another server's. */
  readonly text: string
}

interface Written {
  readonly rendered: readonly Rendered[]
  /** Another server receives the same bytes. */
  readonly isBesideAnother: boolean
}

/** A server with the connection of one stream. */
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

  /** Discards the values from an earlier chapter. */
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
    return closed ? "closed" : "announces that it closes, but does not"
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

/** Joins the last write of each request with the first write of the next one. */
function joined(requests: readonly (readonly Buffer[])[]): Buffer[] {
  const all: Buffer[] = []
  for (const [first = Buffer.alloc(0), ...more] of requests) {
    const last = all.pop()
    all.push(last === undefined ? first : Buffer.concat([last, first]), ...more)
  }
  return all
}

/** The bytes for each server. */
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

/**
 * Runs a unit on all servers concurrently. `echoes`: whether the parts of errors that repeat the request are compared.
 */
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

/** A refusal sent while the body arrives can be lost with the connection; then only the other server has an answer. */
const isLost = ({ answers, text }: Outcome): boolean => answers.length === 0 && text === EITHER

export function isSame({ outcomes }: Played): boolean {
  const arrived = outcomes.some(isLost) ? outcomes.filter(outcome => !isLost(outcome)) : outcomes
  return arrived.every(({ text }) => text === arrived[0]?.text && (arrived === outcomes || text.endsWith(EITHER)))
}

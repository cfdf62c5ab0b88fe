/**
 * Real telemetry: log lines, written whole by the given function (to standard error, say), and metrics
 * kept in memory for a scrape. Lines of one event-loop turn are written together, warnings immediately.
 *
 * `json` lines are for collectors, one object each; `text` lines are for people:
 * `2026-01-01T00:00:00.000Z warn  device_slow device=3f… waitedMs=812`. Lines of a thread with a name have it as `thread`.
 * A field whose name indicates a secret is hidden, in addition to the rule that callers never
 * pass one. Long values are cut at `FIELD_CHARACTERS_MAX`.
 */
import { assert } from "../../assert.js"
import { Remembered } from "../../remembered.js"
import type { Clock } from "../clock/contract.js"
import type { Fields, Log, LogLevel, Telemetry } from "./contract.js"
import { MetricsInMemory } from "./metrics.js"

export type LogFormat = "json" | "text"

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }
const LEVEL_TEXT: Readonly<Record<LogLevel, string>> = { debug: "debug", info: "info ", warn: "warn ", error: "error" }
const FIELD_CHARACTERS_MAX = 4_000
const GATHERED_CHARACTERS_MAX = 64 * 1024
const SECRET_NAME = /secret|password|passphrase|authorization|masterkey|signature/i
const PLAIN_ASCII = /^[!#-<>-[\]-~]+$/
const PLAIN_VALUE = /^[^\s"=\\\p{Cc}]+$/u

type LogClock = Pick<Clock, "wallMs" | "atEndOfTurn">
type Shown = string | number | boolean

/** The parts of a line that are not its fields. */
interface LineHead {
  readonly time: string
  readonly level: LogLevel
  readonly event: string
  readonly thread?: string
}

type Render = (head: LineHead, fields: Fields) => string

interface LogSettings {
  readonly level: LogLevel
  readonly format: LogFormat
  /** The name of the thread; undefined for the main one. */
  readonly thread?: string | undefined
}

/** Names of fields, and whether they indicate a secret. */
const secretNames = new Remembered(name => SECRET_NAME.test(name))

function shownOf(name: string, value: Shown): Shown {
  if (secretNames.of(name)) return "[hidden]"
  if (typeof value === "string" && value.length > FIELD_CHARACTERS_MAX)
    return `${value.slice(0, FIELD_CHARACTERS_MAX)}…`
  if (typeof value !== "number" || Number.isInteger(value)) return value
  return Number.isFinite(value) ? rounded(value) : String(value)
}

/** Three digits behind the point, or the first three of a very small number: more is noise of the arithmetic. */
const rounded = (value: number): number =>
  Math.abs(value) < 1 ? Number(value.toPrecision(3)) : Math.round(value * 1_000) / 1_000

/** Fields as a line shows them: without secrets, and cut. */
export const shownFields = (fields: Fields): Fields =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, shownOf(name, value)]])),
  )

const isPlain = (text: string): boolean => PLAIN_ASCII.test(text) || PLAIN_VALUE.test(text)

function textLine({ time, level, event, thread }: LineHead, fields: Fields): string {
  let line = `${time} ${LEVEL_TEXT[level]} ${event}`
  if (thread !== undefined) line += ` thread=${thread}`
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    if (value === undefined) continue
    const shown = shownOf(name, value)
    line += ` ${name}=${typeof shown !== "string" || isPlain(shown) ? String(shown) : JSON.stringify(shown)}`
  }
  return `${line}\n`
}

/** A field never overwrites the line's own keys. */
function jsonLine(head: LineHead, fields: Fields): string {
  const shown: Record<string, Shown> = {}
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    if (value !== undefined) shown[name] = shownOf(name, value)
  }
  return `${JSON.stringify(Object.assign(shown, head))}\n`
}

/** Lines of one turn of the event loop, written together at its end: a separate write costs more than the line. */
class GatheredLines {
  private text = ""
  private readonly letGo = (): void => this.flush()

  constructor(
    private readonly clock: LogClock,
    private readonly write: (lines: string) => void,
  ) {}

  add(line: string): void {
    const isFirst = this.text === ""
    this.text += line
    if (isFirst) this.clock.atEndOfTurn(this.letGo)
    if (this.text.length >= GATHERED_CHARACTERS_MAX) this.flush()
  }

  flush(): void {
    const { text } = this
    this.text = ""
    if (text !== "") this.write(text)
  }
}

class LineLog implements Log {
  readonly #render: Render
  readonly #lines: GatheredLines
  readonly #ofThread: Pick<LineHead, "thread"> = {}
  #shownMs = NaN
  #shownTime = ""

  constructor(
    private readonly clock: LogClock,
    write: (lines: string) => void,
    private readonly settings: LogSettings,
  ) {
    const { format, thread } = settings
    if (thread !== undefined) this.#ofThread = { thread }
    assert(thread === undefined || isPlain(thread), "the name of a thread is plain")
    this.#render = format === "json" ? jsonLine : textLine
    this.#lines = new GatheredLines(clock, write)
  }

  writes(level: LogLevel): boolean {
    return RANK[level] >= RANK[this.settings.level]
  }

  debug(event: string, fields?: Fields): void {
    this.#line("debug", event, fields)
  }

  info(event: string, fields?: Fields): void {
    this.#line("info", event, fields)
  }

  warn(event: string, fields?: Fields): void {
    this.#line("warn", event, fields)
  }

  error(event: string, fields?: Fields): void {
    this.#line("error", event, fields)
  }

  #line(level: LogLevel, event: string, fields: Fields = {}): void {
    if (!this.writes(level)) return
    assert(!event.includes("\n"), "an event is a name")
    this.#lines.add(this.#render({ time: this.#time(), level, event, ...this.#ofThread }, fields))
    // The process may be about to end.
    if (RANK[level] >= RANK.warn) this.#lines.flush()
  }

  #time(): string {
    const nowMs = this.clock.wallMs()
    if (nowMs === this.#shownMs) return this.#shownTime
    this.#shownMs = nowMs
    this.#shownTime = new Date(nowMs).toISOString()
    return this.#shownTime
  }
}

export class RealTelemetry implements Telemetry {
  readonly log: Log
  readonly metrics = new MetricsInMemory()

  /** Writes lines of `level` and above. */
  constructor(clock: LogClock, write: (lines: string) => void, settings: LogSettings) {
    this.log = new LineLog(clock, write, settings)
  }

  /** The metrics as Prometheus text. */
  render(): string {
    return this.metrics.render()
  }
}

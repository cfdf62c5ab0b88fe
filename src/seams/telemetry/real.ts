/**
 * Real telemetry: log lines, each written whole by the function given (to standard error, say), and
 * metrics kept in memory for a scrape.
 *
 * `json` lines are for collectors, one object each; `text` lines are for people:
 * `2026-01-01T00:00:00.000Z warn  deviceSlow device=3f… waitedMs=812`.
 * A field whose name speaks of a secret is hidden, as a second guard behind the rule that none is
 * ever handed in. Long values are cut at `FIELD_CHARACTERS_MAX`.
 */
import { assert } from "../../base/assert.js"
import type { Clock } from "../clock/contract.js"
import type { Fields, Log, LogLevel, Telemetry } from "./contract.js"
import { MetricsInMemory } from "./metrics.js"

export type LogFormat = "json" | "text"

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }
const FIELD_CHARACTERS_MAX = 4_000
const SECRET_NAME = /secret|password|passphrase|authorization|masterkey|signature/i
const PLAIN_VALUE = /^[^\s"=\\\p{Cc}]+$/u

type Shown = string | number | boolean

function shownOf(name: string, value: Shown): Shown {
  if (SECRET_NAME.test(name)) return "[hidden]"
  if (typeof value === "string" && value.length > FIELD_CHARACTERS_MAX)
    return `${value.slice(0, FIELD_CHARACTERS_MAX)}…`
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value
}

function shownFields(fields: Fields): [string, Shown][] {
  return Object.entries(fields).flatMap(([name, value]): [string, Shown][] =>
    value === undefined ? [] : [[name, shownOf(name, value)]],
  )
}

function textLine(time: string, level: LogLevel, event: string, fields: Fields): string {
  const shown = shownFields(fields).map(([name, value]) => {
    const text = String(value)
    return ` ${name}=${PLAIN_VALUE.test(text) ? text : JSON.stringify(text)}`
  })
  return `${time} ${level.padEnd(5)} ${event}${shown.join("")}\n`
}

/** The line's own words are never overwritten by a field of that name. */
function jsonLine(time: string, level: LogLevel, event: string, fields: Fields): string {
  return `${JSON.stringify({ ...Object.fromEntries(shownFields(fields)), time, level, event })}\n`
}

class LineLog implements Log {
  readonly #render: typeof textLine

  constructor(
    private readonly clock: Clock,
    private readonly write: (line: string) => void,
    private readonly level: LogLevel,
    format: LogFormat,
  ) {
    this.#render = format === "json" ? jsonLine : textLine
  }

  writes(level: LogLevel): boolean {
    return RANK[level] >= RANK[this.level]
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
    this.write(this.#render(new Date(this.clock.wallMs()).toISOString(), level, event, fields))
  }
}

export class RealTelemetry implements Telemetry {
  readonly log: Log
  readonly metrics = new MetricsInMemory()

  /** `level` and whatever is graver is written. */
  constructor(
    clock: Clock,
    write: (line: string) => void,
    { level, format }: { readonly level: LogLevel; readonly format: LogFormat },
  ) {
    this.log = new LineLog(clock, write, level, format)
  }

  /** The metrics as Prometheus text. */
  render(): string {
    return this.metrics.render()
  }
}

/** The output of a run of the tests: at its beginning, while it goes on, and at its end. */
import { nameOf } from "./files.mjs"

const LINE_EVERY_MS = 60_000
const MOVES_EVERY_MS = 1_000
const SLOWEST_SHOWN = 12

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`

export const timeText = seconds => {
  const whole = Math.max(0, Math.round(seconds))
  return whole < 90 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`
}

export const beginningText = ({ files, checks, expectedSeconds }) => {
  const what = [plural(files, "test file"), ...(checks > 0 ? [plural(checks, "check")] : [])].join(" and ")
  return expectedSeconds === undefined ? `${what}\n` : `${what}; about ${timeText(expectedSeconds)} on this machine\n`
}

/** `expectedSeconds`: of the whole run; undefined if nothing tells. */
export function progressText({ done, all, running, failed, seconds, expectedSeconds }) {
  const left = expectedSeconds === undefined ? [] : [`about ${timeText(expectedSeconds - seconds)} left`]
  const now = running.slice(0, 4).join(", ") + (running.length > 4 ? ", …" : "")
  const numbers = [
    `${done} of ${all} done`,
    `${running.length} running`,
    `${failed} failed`,
    timeText(seconds),
    ...left,
  ]
  return `${numbers.join(", ")}: ${now}`
}

/** A test that fails, as it is reported at once. */
export const failureText = (unit, { name, file, text }) => `not ok  ${file ?? unit.name}  ${name}\n${text}\n`

/** The command that repeats a failed unit, or the failed files of a bundle. */
function repetitionOf({ unit, failures }, seed) {
  if (unit.class === "check") return `npm test -- --check ${JSON.stringify(unit.name)}`
  const files = failures.flatMap(({ file }) => (file === undefined ? [] : [file]))
  const names = new Set(unit.files.length === 1 ? unit.files : files.length === 0 ? unit.files : files)
  return `npm test -- ${[...names].map(nameOf).join(" ")}${seed === undefined ? "" : ` --seed ${seed}`}`
}

export function endText(outcomes, { seconds, processorSeconds, seed }) {
  const skipped = outcomes.flatMap(each => each.skipped)
  const slowest = [...outcomes].sort((a, b) => b.seconds - a.seconds).slice(0, SLOWEST_SHOWN)
  const failed = outcomes.filter(({ failures }) => failures.length > 0)
  return [
    ...skipped.map(({ name, why }) => `skipped  ${name}: ${why}`),
    `slowest: ${slowest.map(each => `${each.unit.name} ${timeText(each.seconds)}`).join(", ")}`,
    `${timeText(seconds)}, of which ${timeText(processorSeconds)} of processor time`,
    ...failed.map(each => `failed: ${each.unit.name}; again: ${repetitionOf(each, seed)}`),
    "",
  ].join("\n")
}

/** One line that moves on a terminal, and a line a minute elsewhere. `stateNow`: see `progressText`. Returns what ends it. */
export function showProgress(out, stateNow) {
  const moves = out.isTTY === true
  const timer = setInterval(
    () => {
      const text = progressText(stateNow())
      out.write(moves ? `\r\u001b[K${text.slice(0, (out.columns ?? 80) - 1)}` : `${text}\n`)
    },
    moves ? MOVES_EVERY_MS : LINE_EVERY_MS,
  )
  const clear = () => void (moves && out.write("\r\u001b[K"))
  return {
    /** Writes above the line. */
    say: text => {
      clear()
      out.write(text)
    },
    end: () => {
      clearInterval(timer)
      clear()
    },
  }
}

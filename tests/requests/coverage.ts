/** Counts requests and their answers, to show the coverage of the random requests. */
import type { Unit } from "./generate.js"
import type { Answer } from "./wire.js"

const CODE = /<Error><Code>([^<]*)</

const SUCCESS_BELOW = 300
const NOT_MODIFIED = 304

function add(counts: Map<string, number>, name: string, by = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + by)
}

export const codeOf = ({ status, body }: Answer): string => {
  const code = CODE.exec(body.toString("latin1", 0, 400).replace(/<\?xml[^>]*>\s*/, ""))?.[1]
  return code === undefined ? String(status) : `${status} ${code}`
}

const FAILURES_SHOWN = 6

const lines = (counts: ReadonlyMap<string, number>, most = Infinity): string =>
  [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, most)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ")

export class Coverage {
  requests = 0
  private successes = 0
  private readonly codes = new Map<string, number>()
  private readonly headers = new Map<string, number>()
  private readonly people = new Map<string, number>()
  private readonly asked = new Map<string, { all: number; good: number; failed: Map<string, number> }>()

  note({ kind, specs }: Unit, answers: readonly Answer[]): void {
    this.requests += Math.max(1, specs.length)
    if (kind !== "requests") add(this.codes, `${kind}: ${answers[0] === undefined ? "no answer" : codeOf(answers[0])}`)
    specs.forEach((spec, i) => {
      const answer = answers[i]
      const asked = this.asked.get(spec.what) ?? { all: 0, good: 0, failed: new Map<string, number>() }
      this.asked.set(spec.what, asked)
      asked.all += 1
      if (answer === undefined) return add(this.codes, "no answer")
      add(this.codes, codeOf(answer))
      const isGood = answer.status < SUCCESS_BELOW || answer.status === NOT_MODIFIED
      if (isGood) asked.good += 1
      else add(asked.failed, codeOf(answer))
      if (isGood) this.successes += 1
      if (isGood) add(this.people, `${spec.signing.person} ${spec.signing.how}`)
    })
  }

  noteHeaders(drawn: ReadonlyMap<string, number>): void {
    for (const [name, count] of drawn) add(this.headers, name, count)
  }

  table(): string {
    const asked = [...this.asked]
      .sort((a, b) => b[1].all - a[1].all)
      .map(([name, { all, good, failed }]) => `  ${name} ${good} of ${all}; ${lines(failed, FAILURES_SHOWN)}`)
    return [
      `${this.requests} requests, ${Math.round((100 * this.successes) / Math.max(1, this.requests))} % successful`,
      "operations, successes of all, and the most frequent failures:",
      ...asked,
      `answers: ${lines(this.codes)}`,
      `successful answers by signer: ${lines(this.people)}`,
      `${this.headers.size} kinds of headers: ${lines(this.headers)}`,
    ].join("\n")
  }
}

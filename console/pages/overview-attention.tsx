/** The faults of the store, and what will become one, each with the next step; one line if there are none. */
import type { Status } from "../api/shapes.js"
import { plural } from "../parts/format.js"
import { Icon } from "../parts/icon.js"
import { Section } from "../parts/page.js"
import { pathTo } from "../shell/router.js"
import { problemsOf, type Problem } from "./safety-problems.js"

const SHOWN_MAX = 5

interface Step {
  readonly kind: Problem["kind"]
  readonly text: string
  readonly step: string
  readonly to: string
}

const SAFETY = { step: "See what may fail", to: pathTo(["safety"]) }

/** The safety of the store as a step; none if every disk may fail. */
function ofSafety({ safety }: Status): readonly Step[] {
  const { safeLosses, safeLossesWhenWhole, sentence } = safety
  if (safeLosses < 0) return [{ kind: "danger", text: sentence, ...SAFETY }]
  if (safeLosses === 0 && safeLossesWhenWhole === 0) {
    return [{ kind: "warning", text: sentence, step: "Add a disk", to: pathTo(["devices"]) }]
  }
  return safeLosses < safeLossesWhenWhole ? [{ kind: "warning", text: sentence, ...SAFETY }] : []
}

const ofProblem = ({ kind, text, to }: Problem): Step =>
  to === undefined ? { kind, text, ...SAFETY } : { kind, text, step: "Show", to: pathTo(...to) }

export function Attention({ status }: { readonly status: Status }) {
  const all = [...ofSafety(status), ...problemsOf(status).map(ofProblem)]
  const isFault = ({ kind }: Step): boolean => kind === "danger"
  const steps = [...all.filter(isFault), ...all.filter(step => !isFault(step))]
  const shown = steps.slice(0, SHOWN_MAX)
  if (steps.length === 0) {
    return (
      <p class="all-well">
        <Icon name="check" />
        <span>Nothing needs attention: {status.safety.sentence}</span>
      </p>
    )
  }
  return (
    <Section title="Needs attention">
      <ul class="attention">
        {shown.map(({ kind, text, step, to }) => (
          <li key={text} class={kind}>
            <Icon name="alert" />
            <span>{text}</span>
            <a href={to}>{step}</a>
          </li>
        ))}
      </ul>
      {steps.length > shown.length && (
        <p class="hint">
          {plural(steps.length - shown.length, "more remark")} on <a href={pathTo(["safety"])}>Safety</a>.
        </p>
      )}
    </Section>
  )
}

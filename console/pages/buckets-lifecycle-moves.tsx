/** Moves to other classes in the form of a lifecycle rule: of objects and of their older versions, as many as there are. */
import { signal, type Signal } from "@preact/signals"
import { useMemo } from "preact/hooks"
import { Button } from "../parts/button.js"
import { SelectField, TextField } from "../parts/fields.js"
import { textIn } from "./buckets-api.js"
import { DaysField, emptyOr, isCount } from "./buckets-lifecycle-fields.js"
import { listIn } from "./buckets-web.js"

/** Clients know these by name; a store may have others. */
const CLASSES = ["STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE", "REDUCED_REDUNDANCY"]

const TIMES = [
  ["days", "After days"],
  ["date", "On a date"],
] as const

/** The fields of a move. Those of older versions have no date, and those of objects keep none. */
interface MoveFields {
  readonly when: Signal<"days" | "date">
  readonly days: Signal<string>
  readonly date: Signal<string>
  readonly to: Signal<string>
  readonly kept: Signal<string>
}

export interface Moves {
  readonly of: "objects" | "versions"
  readonly all: Signal<readonly MoveFields[]>
}

const MEMBERS = {
  objects: { list: "Transitions", days: "Days" },
  versions: { list: "NoncurrentVersionTransitions", days: "NoncurrentDays" },
} as const

const fieldsOf = (move: unknown, days: string): MoveFields => ({
  when: signal(textIn(move, "Date") === "" ? "days" : "date"),
  days: signal(textIn(move, days)),
  date: signal(textIn(move, "Date").slice(0, 10)),
  to: signal(textIn(move, "StorageClass")),
  kept: signal(textIn(move, "NewerNoncurrentVersions")),
})

/** The moves of a rule, to be edited. */
export const useMoves = (rule: unknown, of: Moves["of"]): Moves =>
  useMemo(() => {
    const { list, days } = MEMBERS[of]
    return { of, all: signal(listIn(rule, list).map(move => fieldsOf(move, days))) }
  }, [])

/** The member of the rule that has the moves; it is absent if there are none. */
export function movesIn({ of, all }: Moves): object {
  const { list, days } = MEMBERS[of]
  const moves = all.value.map(move => ({
    ...(move.when.value === "days" ? { [days]: Number(move.days.value) } : { Date: `${move.date.value}T00:00:00Z` }),
    StorageClass: move.to.value.trim(),
    ...(move.kept.value.trim() !== "" && { NewerNoncurrentVersions: Number(move.kept.value) }),
  }))
  return moves.length === 0 ? {} : { [list]: moves }
}

/** All fields that a move needs are filled in. */
export const areComplete = ({ all }: Moves): boolean =>
  all.value.every(({ when, days, date, to, kept }) => {
    const hasTime = when.value === "days" ? isCount(days.value, 0) : date.value !== ""
    return hasTime && to.value.trim() !== "" && emptyOr(kept.value, 1)
  })

/** How a group of fields, and the button that adds one, are called. */
const TITLES = {
  objects: ["Move", "Add a move"],
  versions: ["Move of older versions", "Add a move of older versions"],
} as const

export function MoveList({ moves: { of, all } }: { readonly moves: Moves }) {
  const [title, add] = TITLES[of]
  const remove = (at: number) => (all.value = all.value.toSpliced(at, 1))
  return (
    <>
      {all.value.map((move, at) => (
        <div key={at} class="move" role="group" aria-label={`${title} ${at + 1}`}>
          {of === "objects" && <SelectField label="Move" value={move.when} options={TIMES} />}
          {move.when.value === "date" ? (
            <TextField label="Move on" type="date" value={move.date} />
          ) : (
            <DaysField label={of === "objects" ? "Days" : "Move after days"} value={move.days} min={0} />
          )}
          <TextField label="To the class" value={move.to} isCode suggestions={CLASSES} />
          {of === "versions" && <DaysField label="But for the newest" value={move.kept} />}
          <Button kind="quiet" label={`Remove ${title.toLowerCase()} ${at + 1}`} onClick={() => remove(at)}>
            Remove
          </Button>
        </div>
      ))}
      <div class="actions">
        <Button onClick={() => (all.value = [...all.value, fieldsOf(undefined, "")])}>{add}</Button>
      </div>
    </>
  )
}

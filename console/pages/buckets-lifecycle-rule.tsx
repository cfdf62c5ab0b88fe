/** The form of one lifecycle rule, with everything that the server knows: what it applies to, and what it does when. */
import { useSignal, type Signal } from "@preact/signals"
import { FormDialog } from "../parts/dialog.js"
import { SelectField, TextAreaField, TextField } from "../parts/fields.js"
import { tagsOfText, textOfTags } from "../parts/tags.js"
import { memberOf, textIn } from "./buckets-api.js"
import { DaysField, emptyOr, isCount } from "./buckets-lifecycle-fields.js"
import { areComplete, MoveList, movesIn, useMoves, type Moves } from "./buckets-lifecycle-moves.js"
import { filterOf } from "./buckets-lifecycle-text.js"

const REMOVALS = [
  ["", "Never"],
  ["days", "After days"],
  ["date", "On a date"],
  ["markers", "Only delete markers that hide nothing"],
] as const
function kindOf(action: unknown): "" | "days" | "date" {
  if (textIn(action, "Date") !== "") return "date"
  return textIn(action, "Days") === "" ? "" : "days"
}

const WORDS = {
  prefix: "",
  above: "",
  below: "",
  days: "",
  date: "",
  oldDays: "",
  oldKept: "",
  uploadDays: "",
  id: "",
  tags: "",
}

type Words = typeof WORDS

/** The texts of the fields for a rule. */
function wordsOf(rule: unknown, name: string): Words {
  const { prefix, tags, above, below } = filterOf(rule)
  const day = (action: unknown): string => textIn(action, "Date").slice(0, 10)
  return {
    id: name,
    prefix,
    tags: textOfTags(tags),
    above,
    below,
    days: textIn(rule, "Expiration", "Days"),
    date: day(memberOf(rule, "Expiration")),
    oldDays: textIn(rule, "NoncurrentVersionExpiration", "NoncurrentDays"),
    oldKept: textIn(rule, "NoncurrentVersionExpiration", "NewerNoncurrentVersions"),
    uploadDays: textIn(rule, "AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
  }
}

/** One predicate stands alone, several are in `And`. */
function filterValue({ prefix, tags, above, below }: Words): object {
  const named = tagsOfText(tags).map(([Key, Value]) => ({ Key, Value }))
  const [tag] = named
  const sizes = {
    ...(above.trim() !== "" && { ObjectSizeGreaterThan: Number(above) }),
    ...(below.trim() !== "" && { ObjectSizeLessThan: Number(below) }),
  }
  const count = (prefix === "" ? 0 : 1) + named.length + Object.keys(sizes).length
  if (count === 0) return { Prefix: "" }
  const both = { ...(prefix !== "" && { Prefix: prefix }), ...sizes }
  if (count === 1) return { ...both, ...(tag && { Tag: tag }) }
  return { And: { ...both, ...(named.length > 0 && { Tags: named }) } }
}

type Removal = (typeof REMOVALS)[number][0]

function expirationOf(removal: Removal, { days, date }: Words): object {
  switch (removal) {
    case "":
      return {}
    case "days":
      return { Expiration: { Days: Number(days) } }
    case "date":
      return { Expiration: { Date: `${date}T00:00:00Z` } }
    case "markers":
      return { Expiration: { ExpiredObjectDeleteMarker: true } }
  }
}

function oldOf({ oldDays, oldKept }: Words): object {
  if (oldDays.trim() === "") return {}
  const kept = oldKept.trim() !== "" && { NewerNoncurrentVersions: Number(oldKept) }
  return { NoncurrentVersionExpiration: { NoncurrentDays: Number(oldDays), ...kept } }
}

/** A rule moves objects, and their older versions. */
type BothMoves = readonly [objects: Moves, versions: Moves]

const OF_FILTER = ["prefix", "tags", "above", "below"] as const

/** A filter that nobody has changed stays as it is, in whichever form. */
function filterAfter(before: unknown, words: Words): unknown {
  const was = wordsOf(before, "")
  const isSame = OF_FILTER.every(name => words[name] === was[name])
  return (isSame ? memberOf(before, "Filter") : undefined) ?? filterValue(words)
}

function ruleOf(before: unknown, removal: Removal, words: Words, [moves, oldMoves]: BothMoves): object {
  return {
    ID: words.id.trim(),
    Status: textIn(before, "Status") || "Enabled",
    Filter: filterAfter(before, words),
    ...expirationOf(removal, words),
    ...movesIn(moves),
    ...movesIn(oldMoves),
    ...oldOf(words),
    ...(words.uploadDays.trim() !== "" && {
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: Number(words.uploadDays) },
    }),
  }
}

/** Returns true once a rule can be made of the fields, as far as the console knows; the server checks all else. */
function isComplete(removal: Removal, words: Words, moves: BothMoves): boolean {
  const { above, below, days, date, oldDays, oldKept, uploadDays } = words
  const isRemoval = removal === "days" ? isCount(days, 1) : removal === "date" ? date !== "" : true
  const isOld = emptyOr(oldDays, 1) && emptyOr(oldKept, 1) && (oldKept.trim() === "" || oldDays.trim() !== "")
  const hasMoves = moves.some(({ all }) => all.value.length > 0)
  const doesSomething = removal !== "" || hasMoves || [oldDays, uploadDays].some(text => text.trim() !== "")
  const isSized = emptyOr(above, 0) && emptyOr(below, 1)
  return isRemoval && isOld && moves.every(areComplete) && isSized && emptyOr(uploadDays, 1) && doesSomething
}

type Fields = { readonly [Name in keyof Words]: Signal<string> }

function useFields(rule: unknown, name: string): Fields {
  const words = wordsOf(rule, name)
  return {
    id: useSignal(words.id),
    prefix: useSignal(words.prefix),
    tags: useSignal(words.tags),
    above: useSignal(words.above),
    below: useSignal(words.below),
    days: useSignal(words.days),
    date: useSignal(words.date),
    oldDays: useSignal(words.oldDays),
    oldKept: useSignal(words.oldKept),
    uploadDays: useSignal(words.uploadDays),
  }
}

function WhatFor({ fields }: { readonly fields: Fields }) {
  return (
    <>
      <TextField label="Name" value={fields.id} isRequired />
      <h3>Which objects</h3>
      <div class="fields">
        <TextField label="Keys that begin with" value={fields.prefix} isCode placeholder="all keys" />
        <DaysField label="Larger than, bytes" value={fields.above} min={0} />
        <DaysField label="Smaller than, bytes" value={fields.below} />
      </div>
      <TextAreaField
        label="With the tags"
        value={fields.tags}
        rows={2}
        isCode
        hint="One key=value on a line; empty: with any"
      />
    </>
  )
}

function Current(props: { readonly fields: Fields; readonly removal: Signal<Removal>; readonly moves: Moves }) {
  const { fields, removal, moves } = props
  return (
    <>
      <h3>Objects</h3>
      <div class="fields">
        <SelectField label="Remove" value={removal} options={REMOVALS} />
        {removal.value === "days" && <DaysField label="Remove after days" value={fields.days} />}
        {removal.value === "date" && <TextField label="Remove on" type="date" value={fields.date} />}
      </div>
      <MoveList moves={moves} />
    </>
  )
}

function Older({ fields, moves }: { readonly fields: Fields; readonly moves: Moves }) {
  return (
    <>
      <h3>Older versions</h3>
      <div class="fields">
        <DaysField label="Remove older versions after days" value={fields.oldDays} />
        <DaysField label="Keep the newest versions" value={fields.oldKept} />
      </div>
      <MoveList moves={moves} />
      <h3>Unfinished uploads</h3>
      <div class="fields">
        <DaysField label="Abort unfinished uploads after days" value={fields.uploadDays} />
      </div>
    </>
  )
}

/** `rule` undefined: a new one. The rule is handed over, and saved with the others. */
export function RuleDialog(props: {
  readonly rule: unknown
  readonly name: string
  readonly onDone: (rule: object) => void
  readonly onClose: () => void
}) {
  const { rule, name, onDone, onClose } = props
  const fields = useFields(rule, name)
  const expiration = memberOf(rule, "Expiration")
  const isOfMarkers = memberOf(expiration, "ExpiredObjectDeleteMarker") === true
  const first: Removal = isOfMarkers ? "markers" : rule === undefined ? "days" : kindOf(expiration)
  const removal = useSignal<Removal>(first)
  const [moves, oldMoves] = [useMoves(rule, "objects"), useMoves(rule, "versions")]
  const words: Words = {
    ...WORDS,
    ...Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.value])),
  }
  const isValid = words.id.trim() !== "" && isComplete(removal.value, words, [moves, oldMoves])
  const done = async (): Promise<void> => onDone(ruleOf(rule, removal.value, words, [moves, oldMoves]))
  return (
    <FormDialog
      title={rule === undefined ? "New rule" : `Rule ${name}`}
      action={rule === undefined ? "Add the rule" : "Change the rule"}
      {...{ isValid, onClose }}
      work={done}
      isWide
    >
      <WhatFor fields={fields} />
      <Current {...{ fields, removal, moves }} />
      <Older fields={fields} moves={oldMoves} />
    </FormDialog>
  )
}

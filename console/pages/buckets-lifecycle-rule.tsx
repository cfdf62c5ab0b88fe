/** The form of one lifecycle rule, with everything that the server knows: what it applies to, and what it does when. */
import { useSignal, type Signal } from "@preact/signals"
import { FormDialog } from "../parts/dialog.js"
import { SelectField, TextAreaField, TextField } from "../parts/fields.js"
import { plural } from "../parts/format.js"
import { tagsOfText, textOfTags } from "../parts/tags.js"
import { memberOf, textIn } from "./buckets-api.js"
import { filterOf } from "./buckets-lifecycle-text.js"
import { listIn } from "./buckets-web.js"

/** Clients know these by name; a store may have others. */
const CLASSES = ["STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE", "REDUCED_REDUNDANCY"]

const REMOVALS = [
  ["", "Never"],
  ["days", "After days"],
  ["date", "On a date"],
  ["markers", "Only delete markers that hide nothing"],
] as const
const MOVES = [
  ["", "Never"],
  ["days", "After days"],
  ["date", "On a date"],
] as const

const isCount = (text: string, min: number): boolean =>
  text.trim() !== "" && Number.isSafeInteger(Number(text)) && Number(text) >= min
const emptyOr = (text: string, min: number): boolean => text.trim() === "" || isCount(text, min)

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
  moveDays: "",
  moveDate: "",
  moveTo: "",
  oldDays: "",
  oldKept: "",
  oldMoveDays: "",
  oldMoveTo: "",
  uploadDays: "",
  id: "",
  tags: "",
}

type Words = typeof WORDS

/** The texts of the fields for a rule. */
function wordsOf(rule: unknown, name: string): Words {
  const { prefix, tags, above, below } = filterOf(rule)
  const [move] = listIn(rule, "Transitions")
  const [oldMove] = listIn(rule, "NoncurrentVersionTransitions")
  const day = (action: unknown): string => textIn(action, "Date").slice(0, 10)
  return {
    id: name,
    prefix,
    tags: textOfTags(tags),
    above,
    below,
    days: textIn(rule, "Expiration", "Days"),
    date: day(memberOf(rule, "Expiration")),
    moveDays: textIn(move, "Days"),
    moveDate: day(move),
    moveTo: textIn(move, "StorageClass"),
    oldDays: textIn(rule, "NoncurrentVersionExpiration", "NoncurrentDays"),
    oldKept: textIn(rule, "NoncurrentVersionExpiration", "NewerNoncurrentVersions"),
    oldMoveDays: textIn(oldMove, "NoncurrentDays"),
    oldMoveTo: textIn(oldMove, "StorageClass"),
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
type Move = (typeof MOVES)[number][0]

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

/** The first of a list is that of the form; the others stay. */
function movesOf(before: unknown, move: Move, { moveDays, moveDate, moveTo }: Words): object {
  const others = listIn(before, "Transitions").slice(1)
  const own = move === "days" ? { Days: Number(moveDays) } : { Date: `${moveDate}T00:00:00Z` }
  const all = move === "" ? others : [{ ...own, StorageClass: moveTo.trim() }, ...others]
  return all.length === 0 ? {} : { Transitions: all }
}

function oldOf(before: unknown, { oldDays, oldKept, oldMoveDays, oldMoveTo }: Words): object {
  const [first, ...others] = listIn(before, "NoncurrentVersionTransitions")
  const kept = textIn(first, "NewerNoncurrentVersions")
  const keeps = kept === "" ? {} : { NewerNoncurrentVersions: Number(kept) }
  const own = { NoncurrentDays: Number(oldMoveDays), StorageClass: oldMoveTo.trim(), ...keeps }
  const moves = oldMoveDays.trim() === "" ? others : [own, ...others]
  return {
    ...(oldDays.trim() !== "" && {
      NoncurrentVersionExpiration: {
        NoncurrentDays: Number(oldDays),
        ...(oldKept.trim() !== "" && { NewerNoncurrentVersions: Number(oldKept) }),
      },
    }),
    ...(moves.length > 0 && { NoncurrentVersionTransitions: moves }),
  }
}

const OF_FILTER = ["prefix", "tags", "above", "below"] as const

/** A filter that nobody has changed stays as it is, in whichever form. */
function filterAfter(before: unknown, words: Words): unknown {
  const was = wordsOf(before, "")
  const isSame = OF_FILTER.every(name => words[name] === was[name])
  return (isSame ? memberOf(before, "Filter") : undefined) ?? filterValue(words)
}

function ruleOf(before: unknown, removal: Removal, move: Move, words: Words): object {
  return {
    ID: words.id.trim(),
    Status: textIn(before, "Status") || "Enabled",
    Filter: filterAfter(before, words),
    ...expirationOf(removal, words),
    ...movesOf(before, move, words),
    ...oldOf(before, words),
    ...(words.uploadDays.trim() !== "" && {
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: Number(words.uploadDays) },
    }),
  }
}

/** Why a rule cannot be made of the fields yet; the server checks all else. */
function isComplete(removal: Removal, move: Move, words: Words): boolean {
  const { above, below, days, date, moveDays, moveDate, moveTo, oldDays, oldKept, oldMoveDays, oldMoveTo } = words
  const isRemoval = removal === "days" ? isCount(days, 1) : removal === "date" ? date !== "" : true
  const isWhen = move === "days" ? isCount(moveDays, 0) : move === "date" ? moveDate !== "" : true
  const isMove = move === "" || (isWhen && moveTo.trim() !== "")
  const isOld = emptyOr(oldDays, 1) && emptyOr(oldKept, 1) && emptyOr(oldMoveDays, 0)
  const isOldMove = (oldMoveDays.trim() === "") === (oldMoveTo.trim() === "")
  const isKept = oldKept.trim() === "" || oldDays.trim() !== ""
  const doesSomething =
    removal !== "" || move !== "" || [oldDays, oldMoveDays, words.uploadDays].some(text => text.trim() !== "")
  const isSized = emptyOr(above, 0) && emptyOr(below, 1)
  return isRemoval && isMove && isOld && isOldMove && isKept && isSized && emptyOr(words.uploadDays, 1) && doesSomething
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
    moveDays: useSignal(words.moveDays),
    moveDate: useSignal(words.moveDate),
    moveTo: useSignal(words.moveTo),
    oldDays: useSignal(words.oldDays),
    oldKept: useSignal(words.oldKept),
    oldMoveDays: useSignal(words.oldMoveDays),
    oldMoveTo: useSignal(words.oldMoveTo),
    uploadDays: useSignal(words.uploadDays),
  }
}

function DaysField(props: { readonly label: string; readonly value: Signal<string>; readonly min?: number }) {
  const { label, value, min = 1 } = props
  const error = emptyOr(value.value, min) ? undefined : `A whole number from ${min}.`
  return <TextField {...{ label, value, min, error }} type="number" step={1} />
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

function Current(props: { readonly fields: Fields; readonly removal: Signal<Removal>; readonly move: Signal<Move> }) {
  const { fields, removal, move } = props
  return (
    <>
      <h3>Objects</h3>
      <div class="fields">
        <SelectField label="Remove" value={removal} options={REMOVALS} />
        {removal.value === "days" && <DaysField label="Remove after days" value={fields.days} />}
        {removal.value === "date" && <TextField label="Remove on" type="date" value={fields.date} />}
      </div>
      <div class="fields">
        <SelectField label="Move to another class" value={move} options={MOVES} />
        {move.value === "days" && <DaysField label="Move after days" value={fields.moveDays} min={0} />}
        {move.value === "date" && <TextField label="Move on" type="date" value={fields.moveDate} />}
        {move.value !== "" && <TextField label="Class" value={fields.moveTo} isCode suggestions={CLASSES} />}
      </div>
    </>
  )
}

function Older({ fields }: { readonly fields: Fields }) {
  return (
    <>
      <h3>Older versions</h3>
      <div class="fields">
        <DaysField label="Remove older versions after days" value={fields.oldDays} />
        <DaysField label="Keep the newest versions" value={fields.oldKept} />
      </div>
      <div class="fields">
        <DaysField label="Move older versions after days" value={fields.oldMoveDays} min={0} />
        <TextField label="Class of older versions" value={fields.oldMoveTo} isCode suggestions={CLASSES} />
      </div>
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
  const move = useSignal<Move>(kindOf(listIn(rule, "Transitions")[0]))
  const words: Words = {
    ...WORDS,
    ...Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.value])),
  }
  const others = [listIn(rule, "Transitions"), listIn(rule, "NoncurrentVersionTransitions")]
    .map(moves => Math.max(0, moves.length - 1))
    .reduce((sum, count) => sum + count, 0)
  const isValid = words.id.trim() !== "" && isComplete(removal.value, move.value, words)
  const done = async (): Promise<void> => onDone(ruleOf(rule, removal.value, move.value, words))
  return (
    <FormDialog
      title={rule === undefined ? "New rule" : `Rule ${name}`}
      action={rule === undefined ? "Add the rule" : "Change the rule"}
      {...{ isValid, onClose }}
      work={done}
      isWide
    >
      <WhatFor fields={fields} />
      <Current {...{ fields, removal, move }} />
      <Older fields={fields} />
      {others > 0 && <p class="hint">Kept as in the JSON: {plural(others, "other move")} of this rule.</p>}
    </FormDialog>
  )
}

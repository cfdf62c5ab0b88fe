/**
 * Lifecycle rules of a bucket: the document of its setting `lifecycle`, as JSON. Written by `encodeLifecycleRules` only,
 * from rules that were checked (`s3/settings/lifecycle.ts`).
 *
 * Promises  Encoding is canonical: members in one order, absent ones left out. Rules without transitions have format 1,
 *           which earlier releases read, and others format 2.
 * Refuses   With `corruptRecord`, everything that it does not know: a rule of a later release may restrict what an
 *           earlier one would remove.
 */
import { fail } from "@hayloft/base/failures.js"
import { STORAGE_CLASSES, type StorageClass } from "@hayloft/base/storage-class.js"

/** Below which size objects are not moved to other storage classes, if no rule states a size. */
export const TRANSITION_MINIMUMS = ["all_storage_classes_128K", "varies_by_storage_class"] as const
type TransitionMinimum = (typeof TRANSITION_MINIMUMS)[number]

/**
 * How a rule's filter was written: GET returns it in the same form. `prefix` at the level of the rule (the legacy form),
 * `filter` with at most one predicate, `and` with two or more.
 */
const FILTER_FORMS = ["prefix", "filter", "and"] as const
type FilterForm = (typeof FILTER_FORMS)[number]

/** A version matches if it satisfies all predicates. */
export interface LifecycleFilter {
  readonly form: FilterForm
  readonly prefix?: string
  /** Equal keys and values; a version may have more tags. */
  readonly tags?: readonly (readonly [key: string, value: string])[]
  /** Exclusive. */
  readonly sizeAbove?: number
  /** Exclusive. */
  readonly sizeBelow?: number
}

/** The expiration of the current version. */
export type LifecycleExpiration =
  | { readonly days: number }
  /** A midnight, in milliseconds. */
  | { readonly dateMs: number }
  /** A delete marker is removed once it is the only version. */
  | { readonly expiredMarkers: boolean }

export interface NoncurrentExpiration {
  readonly days: number
  /** So many newer noncurrent versions stay, however old they are. */
  readonly newerKept?: number
}

/** The transition of the current version to another storage class. */
export type Transition = { readonly storageClass: StorageClass } & (
  | { /** 0: at the next midnight. */ readonly days: number }
  | { /** A midnight, in milliseconds. */ readonly dateMs: number }
)

export interface NoncurrentTransition {
  readonly storageClass: StorageClass
  readonly days: number
  /** So many newer noncurrent versions keep their storage class, however old they are. */
  readonly newerKept?: number
}

export interface LifecycleRule {
  readonly id: string
  readonly isEnabled: boolean
  readonly filter: LifecycleFilter
  /** One or more, in the order in which they were put, each to another class. */
  readonly transitions?: readonly Transition[]
  /** Likewise. */
  readonly noncurrentTransitions?: readonly NoncurrentTransition[]
  readonly expiration?: LifecycleExpiration
  readonly noncurrent?: NoncurrentExpiration
  /** Uploads are aborted so many days after they began. */
  readonly abortDays?: number
}

export interface LifecycleRules {
  readonly transitionMinimum: TransitionMinimum
  readonly rules: readonly LifecycleRule[]
}

const FORMAT = 1
const FORMAT_WITH_TRANSITIONS = 2

/** Returns true if the rule moves versions to other storage classes. */
export const hasTransitions = ({ transitions, noncurrentTransitions }: LifecycleRule): boolean =>
  transitions !== undefined || noncurrentTransitions !== undefined

/** The document of the setting. */
export const encodeLifecycleRules = ({ transitionMinimum, rules }: LifecycleRules): string => {
  const format = rules.some(hasTransitions) ? FORMAT_WITH_TRANSITIONS : FORMAT
  return JSON.stringify({ format, transitionMinimum, rules: rules.map(packRule) })
}

function packRule(rule: LifecycleRule): object {
  const { id, isEnabled, filter, expiration, noncurrent, abortDays } = rule
  const { form, prefix, tags, sizeAbove, sizeBelow } = filter
  const transitions = rule.transitions?.map(({ storageClass, ...when }) =>
    "days" in when ? { storageClass, days: when.days } : { storageClass, dateMs: when.dateMs },
  )
  const noncurrentTransitions = rule.noncurrentTransitions?.map(({ storageClass, days, newerKept }) => ({
    storageClass,
    days,
    newerKept,
  }))
  return {
    id,
    isEnabled,
    filter: { form, prefix, tags, sizeAbove, sizeBelow },
    expiration,
    noncurrent,
    abortDays,
    transitions,
    noncurrentTransitions,
  }
}

/** Throws `corruptRecord`. */
export function decodeLifecycleRules(document: string): LifecycleRules {
  const root = Members.of(parsed(document), "document")
  const format = root.wholeNumber("format")
  if (format !== FORMAT && format !== FORMAT_WITH_TRANSITIONS) throw corrupt("format")
  const transitionMinimum = root.oneOf("transitionMinimum", TRANSITION_MINIMUMS)
  const rules = root.list("rules").map(ruleOf)
  root.end()
  if (rules.some(hasTransitions) !== (format === FORMAT_WITH_TRANSITIONS)) throw corrupt("format")
  return { transitionMinimum, rules }
}

const corrupt = (field: string) => fail("corruptRecord", { what: "lifecycle rules", field })

function parsed(document: string): unknown {
  try {
    return JSON.parse(document)
  } catch (error) {
    throw fail("corruptRecord", { what: "lifecycle rules" }, error)
  }
}

function ruleOf(value: unknown): LifecycleRule {
  const members = Members.of(value, "rule")
  const rule = {
    id: members.text("id"),
    isEnabled: members.flag("isEnabled"),
    filter: filterOf(members.any("filter")),
    ...members.optional("expiration", field => expirationOf(members.any(field))),
    ...members.optional("noncurrent", field => noncurrentOf(members.any(field))),
    ...members.optional("abortDays", field => members.positive(field)),
    ...members.optional("transitions", field => members.list(field).map(transitionOf)),
    ...members.optional("noncurrentTransitions", field => members.list(field).map(noncurrentTransitionOf)),
  }
  members.end()
  return rule
}

function filterOf(value: unknown): LifecycleFilter {
  const members = Members.of(value, "filter")
  const filter = {
    form: members.oneOf("form", FILTER_FORMS),
    ...members.optional("prefix", field => members.text(field)),
    ...members.optional("tags", field => members.list(field).map(tagOf)),
    ...members.optional("sizeAbove", field => members.wholeNumber(field)),
    ...members.optional("sizeBelow", field => members.wholeNumber(field)),
  }
  members.end()
  return filter
}

function tagOf(value: unknown): readonly [string, string] {
  const [key, tagValue, ...more] = Array.isArray(value) ? Array.from<unknown>(value) : []
  if (typeof key !== "string" || typeof tagValue !== "string" || more.length > 0) throw corrupt("tags")
  return [key, tagValue]
}

function expirationOf(value: unknown): LifecycleExpiration {
  const members = Members.of(value, "expiration")
  const expiration = members.has("days")
    ? { days: members.positive("days") }
    : members.has("dateMs")
      ? { dateMs: members.wholeNumber("dateMs") }
      : { expiredMarkers: members.flag("expiredMarkers") }
  members.end()
  return expiration
}

function transitionOf(value: unknown): Transition {
  const members = Members.of(value, "transition")
  const storageClass = members.oneOf("storageClass", STORAGE_CLASSES)
  const when = members.has("days") ? { days: members.wholeNumber("days") } : { dateMs: members.wholeNumber("dateMs") }
  members.end()
  return { storageClass, ...when }
}

function noncurrentTransitionOf(value: unknown): NoncurrentTransition {
  const members = Members.of(value, "noncurrent transition")
  const transition = {
    storageClass: members.oneOf("storageClass", STORAGE_CLASSES),
    days: members.wholeNumber("days"),
    ...members.optional("newerKept", field => members.positive(field)),
  }
  members.end()
  return transition
}

function noncurrentOf(value: unknown): NoncurrentExpiration {
  const members = Members.of(value, "noncurrent")
  const noncurrent = {
    days: members.positive("days"),
    ...members.optional("newerKept", field => members.positive(field)),
  }
  members.end()
  return noncurrent
}

/** The members of a JSON object, each read once with the type that it must have. */
class Members {
  private readonly unread: Map<string, unknown>

  private constructor(value: object) {
    this.unread = new Map(Object.entries(value))
  }

  static of(value: unknown, what: string): Members {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw corrupt(what)
    return new Members(value)
  }

  has(field: string): boolean {
    return this.unread.has(field)
  }

  any(field: string): unknown {
    const value = this.unread.get(field)
    this.unread.delete(field)
    return value
  }

  text(field: string): string {
    const value = this.any(field)
    if (typeof value !== "string") throw corrupt(field)
    return value
  }

  flag(field: string): boolean {
    const value = this.any(field)
    if (typeof value !== "boolean") throw corrupt(field)
    return value
  }

  wholeNumber(field: string): number {
    const value = this.any(field)
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw corrupt(field)
    return value
  }

  positive(field: string): number {
    const value = this.wholeNumber(field)
    if (value === 0) throw corrupt(field)
    return value
  }

  oneOf<Word extends string>(field: string, words: readonly Word[]): Word {
    const text = this.text(field)
    const word = words.find(known => known === text)
    if (word === undefined) throw corrupt(field)
    return word
  }

  list(field: string): readonly unknown[] {
    const value = this.any(field)
    if (!Array.isArray(value)) throw corrupt(field)
    return value
  }

  /** The member under its name, if it is present. */
  optional<Field extends string, Value>(
    field: Field,
    read: (field: Field) => Value,
  ): { readonly [F in Field]?: Value } {
    if (!this.has(field)) return {}
    const found: { [F in Field]?: Value } = {}
    found[field] = read(field)
    return found
  }

  /** Throws `corruptRecord` if a member was not read. */
  end(): void {
    const [field] = this.unread.keys()
    if (field !== undefined) throw corrupt(field.slice(0, 40))
  }
}

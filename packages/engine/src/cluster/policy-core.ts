/**
 * Redundancy, decided on the control record: a policy that the operator chose, or the automatic one that
 * follows the number of devices. Pure.
 *
 * A wider policy widens the layout immediately. A narrower one does not narrow it: older blocks need their
 * slots until all are re-encoded; then `narrowLayout` drops the unused slots. The automatic policy
 * becomes wider when a device joins, and narrower only when too few devices remain for it.
 */
import { fail } from "@hayloft/base/failures.js"
import {
  defaultMetaCopies,
  defaultPolicy,
  shardCount,
  textOfPolicy,
  tolerance,
  type Policy,
} from "@hayloft/base/policy.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { POLICY_VERSION_MAX, type ControlRecord } from "../format/device/control-record.js"
import { hasPlace, layoutOf, mayGain, policiesIn, widestOf, widthFor, withNextLayout } from "./record-layout-core.js"

const placesOf = (record: ControlRecord): number => record.devices.filter(hasPlace).length
const gainingOf = (record: ControlRecord): number => record.devices.filter(mayGain).length
const isSamePolicy = (a: Policy, b: Policy): boolean => textOfPolicy(a) === textOfPolicy(b)

/** Returns true if both choices are the same; undefined: no policy of its own. */
export const isSameChoice = (a: Policy | undefined, b: Policy | undefined): boolean =>
  a === undefined || b === undefined ? a === b : isSamePolicy(a, b)

/** The automatic policy for this number of devices, with the current matrix. */
const automaticFor = ({ policy }: ControlRecord, devices: number): Policy =>
  defaultPolicy(devices, policy.kind === "ec" ? policy.matrix : "cauchy")

/** Throws `invalidConfig` when needles can encode no further policy version. */
function nextPolicyVersion({ policyVersion }: ControlRecord): number {
  if (policyVersion < POLICY_VERSION_MAX) return policyVersion + 1
  throw fail("invalidConfig", {
    message: `the redundancy of this store was changed ${POLICY_VERSION_MAX} times, the most that its format allows`,
  })
}

/** Adjusts the number of metadata replicas too, unless it differs from the default. */
function withPolicy(before: ControlRecord, record: ControlRecord, policy: Policy): ControlRecord {
  const isUsual = before.metaCopies === defaultMetaCopies(placesOf(before), before.policy)
  const metaCopies = isUsual ? defaultMetaCopies(placesOf(record), policy) : before.metaCopies
  if (isSamePolicy(policy, record.policy)) return { ...record, metaCopies }
  return { ...record, metaCopies, policy, policyVersion: nextPolicyVersion(record) }
}

/** Widens the automatic policy if devices joined between the two records. */
export function withMoreDevices(before: ControlRecord, record: ControlRecord): ControlRecord {
  const policy = automaticFor(record, gainingOf(record))
  const isWider = record.isPolicyAutomatic && shardCount(policy) > shardCount(record.policy)
  return withPolicy(before, record, isWider ? policy : record.policy)
}

/** Narrows the automatic policy if too few places remain for it. */
export function withFewerDevices(before: ControlRecord, record: ControlRecord): ControlRecord {
  const places = placesOf(record)
  const isTooWide = record.isPolicyAutomatic && shardCount(record.policy) > places
  return withPolicy(before, record, isTooWide ? automaticFor(record, places) : record.policy)
}

/** Throws `invalidArgument` if there are too few devices for the policy. */
function checkCapacity(record: ControlRecord, policy: Policy): void {
  const [needed, gaining, places] = [shardCount(policy), gainingOf(record), placesOf(record)]
  if (needed <= gaining) return
  const offline = places > gaining ? ` (${places - gaining} more offline: replace them first)` : ""
  throw fail("invalidArgument", {
    message: `redundancy ${textOfPolicy(policy)} needs ${needed} devices; this store has ${gaining}${offline}`,
  })
}

/** Widens the layout if the policies need it, else returns the same record. Throws `conflict` during a transition. */
function widened(record: ControlRecord, bucketPolicies: readonly Policy[]): ControlRecord {
  const width = widthFor(record, bucketPolicies)
  return width > layoutOf(record.layout).width ? withNextLayout(record, width) : record
}

/**
 * Sets the store's policy. `bucketPolicies`: policies that buckets set for themselves. Throws
 * `invalidArgument` (too few devices), `conflict` (the layout must become wider while shards move).
 */
export function setPolicy(
  record: ControlRecord,
  choice: Policy | "automatic",
  bucketPolicies: readonly Policy[],
): ControlRecord {
  const policy = choice === "automatic" ? automaticFor(record, gainingOf(record)) : choice
  checkCapacity(record, policy)
  const isPolicyAutomatic = choice === "automatic"
  if (isPolicyAutomatic === record.isPolicyAutomatic && isSamePolicy(policy, record.policy)) return record
  return widened({ ...withPolicy(record, record, policy), isPolicyAutomatic }, bucketPolicies)
}

/**
 * Widens the layout for the policy that a bucket chooses (undefined: the store's policy), under a new policy
 * version. Throws the same errors as `setPolicy`.
 */
export function admitBucketPolicy(
  record: ControlRecord,
  policy: Policy | undefined,
  bucketPolicies: readonly Policy[],
): ControlRecord {
  if (policy !== undefined) checkCapacity(record, policy)
  const next = { ...record, policyVersion: nextPolicyVersion(record) }
  return widened(next, policy === undefined ? bucketPolicies : [...bucketPolicies, policy])
}

/**
 * Sets the policy of a storage class (undefined: that of the bucket or the store applies), under a new policy version;
 * the same record if it has that policy. Throws the same errors as `setPolicy`, and `invalidArgument` for STANDARD.
 */
export function setClassPolicy(
  record: ControlRecord,
  storageClass: StorageClass,
  policy: Policy | undefined,
  bucketPolicies: readonly Policy[],
): ControlRecord {
  if (storageClass === "STANDARD") {
    throw fail("invalidArgument", {
      message: "the class STANDARD has the redundancy of the bucket or the store: use redundancy set",
    })
  }
  if (policy !== undefined) checkCapacity(record, policy)
  const before = record.classes?.find(([other]) => other === storageClass)?.[1]
  if (isSameChoice(before, policy)) return record
  const others = (record.classes ?? []).filter(([other]) => other !== storageClass)
  const classes = policy === undefined ? others : [...others, [storageClass, policy] as const]
  return widened({ ...record, classes, policyVersion: nextPolicyVersion(record) }, bucketPolicies)
}

/**
 * Raises policy and width to what the present devices allow, after devices returned or a transition ended.
 * Returns the same record if nothing is to change, or not yet.
 */
export function followDevices(record: ControlRecord, bucketPolicies: readonly Policy[]): ControlRecord {
  if (record.previousLayout !== undefined) return record
  const next = withMoreDevices(record, record)
  const isSame = isSamePolicy(next.policy, record.policy) && next.metaCopies === record.metaCopies
  return widened(isSame ? record : next, bucketPolicies)
}

/**
 * Drops the slots that no policy uses any more. `policiesInUse`: all policies that stored blocks have or buckets
 * chose. Returns the same record if every slot is used, or shards still move.
 */
export function narrowLayout(record: ControlRecord, policiesInUse: readonly Policy[]): ControlRecord {
  if (record.previousLayout !== undefined) return record
  const width = widestOf([...policiesIn(record), ...policiesInUse])
  return width < layoutOf(record.layout).width ? withNextLayout(record, width) : record
}

/** Describes the policy against the present devices, in a sentence for `status`. */
export function policyInWords(record: ControlRecord): string {
  const [text, places] = [textOfPolicy(record.policy), placesOf(record)]
  const usual = automaticFor(record, places)
  const wanted = shardCount(record.policy)
  if (wanted > places) {
    return `${text} was chosen and needs ${plural(wanted, "device")}; with ${places} blocks are written with fewer shards until devices are added`
  }
  if (record.isPolicyAutomatic) {
    const isBehind = shardCount(usual) > wanted
    const soon = isBehind ? `; it becomes ${textOfPolicy(usual)} once all of them are in use` : ""
    return `${text}, which follows the number of devices (${places})${soon}`
  }
  const [now, could] = [tolerance(record.policy), tolerance(usual)]
  if (isSamePolicy(usual, record.policy))
    return `${text}, chosen; for ${plural(places, "device")} the automatic redundancy would be the same`
  const instead = `the automatic redundancy would be ${textOfPolicy(usual)}`
  if (could > now)
    return `${text}, chosen; for ${plural(places, "device")} ${instead}, and survive any ${could} lost instead of ${now}`
  return `${text}, chosen; for ${plural(places, "device")} ${instead}`
}

/** Throws `invalidArgument` if the remaining places are too few for the policy of the store, a class or a bucket. */
export function checkPlacesLeft(record: ControlRecord, bucketPolicies: readonly Policy[]): void {
  const chosen = [...policiesIn(record), ...bucketPolicies]
  const tooWide = chosen.find(policy => shardCount(policy) > placesOf(record))
  if (tooWide === undefined) return
  throw fail("invalidArgument", {
    message: `redundancy ${textOfPolicy(tooWide)} needs ${shardCount(tooWide)} devices, and ${placesOf(record)} would be left: add a device first, or set a narrower redundancy`,
  })
}

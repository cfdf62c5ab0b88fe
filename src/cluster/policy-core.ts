/**
 * Redundancy, decided on the control record: the policy that somebody chose, or the automatic one that
 * follows the number of devices. Pure.
 *
 * A wider policy widens the layout at once. A narrower one leaves it: blocks written before need their
 * slots until all are re-encoded, and then `narrowLayout` takes those that nobody uses. An automatic policy
 * becomes wider when a device joins, and narrower only when too few are left for it.
 */
import { fail } from "../base/failures.js"
import { defaultMetaCopies, defaultPolicy, shardCount, textOfPolicy, tolerance, type Policy } from "../base/policy.js"
import { POLICY_VERSION_MAX, type ControlRecord } from "../format/control-record.js"
import { hasPlace, layoutOf, mayGain, widestOf, widthFor, withNextLayout } from "./record-layout-core.js"

const placesOf = (record: ControlRecord): number => record.devices.filter(hasPlace).length
const gainingOf = (record: ControlRecord): number => record.devices.filter(mayGain).length
const isSamePolicy = (a: Policy, b: Policy): boolean => textOfPolicy(a) === textOfPolicy(b)

/** The automatic policy for so many devices, with the matrix that is in use. */
const automaticFor = ({ policy }: ControlRecord, devices: number): Policy =>
  defaultPolicy(devices, policy.kind === "ec" ? policy.matrix : "cauchy")

/** Throws `invalidConfig` after as many changes as needles can tell apart. */
function nextPolicyVersion({ policyVersion }: ControlRecord): number {
  if (policyVersion < POLICY_VERSION_MAX) return policyVersion + 1
  throw fail("invalidConfig", {
    message: `the redundancy of this store was changed ${POLICY_VERSION_MAX} times, which is all that its format allows`,
  })
}

/** The number of devices that hold names goes along, unless another than the usual one was chosen. */
function withPolicy(before: ControlRecord, record: ControlRecord, policy: Policy): ControlRecord {
  const isUsual = before.metaCopies === defaultMetaCopies(placesOf(before), before.policy)
  const metaCopies = isUsual ? defaultMetaCopies(placesOf(record), policy) : before.metaCopies
  if (isSamePolicy(policy, record.policy)) return { ...record, metaCopies }
  return { ...record, metaCopies, policy, policyVersion: nextPolicyVersion(record) }
}

/** What follows from devices that joined between the two records: a wider automatic policy. */
export function withMoreDevices(before: ControlRecord, record: ControlRecord): ControlRecord {
  const policy = automaticFor(record, gainingOf(record))
  const isWider = record.isPolicyAutomatic && shardCount(policy) > shardCount(record.policy)
  return withPolicy(before, record, isWider ? policy : record.policy)
}

/** What follows from devices that lose their places: a narrower automatic policy, where too few are left for it. */
export function withFewerDevices(before: ControlRecord, record: ControlRecord): ControlRecord {
  const places = placesOf(record)
  const isTooWide = record.isPolicyAutomatic && shardCount(record.policy) > places
  return withPolicy(before, record, isTooWide ? automaticFor(record, places) : record.policy)
}

/** Throws `invalidArgument` where there are too few devices for the policy. */
function checkRoom(record: ControlRecord, policy: Policy): void {
  const [needed, gaining, places] = [shardCount(policy), gainingOf(record), placesOf(record)]
  if (needed <= gaining) return
  const offline = places > gaining ? ` (${places - gaining} more are out: replace them first)` : ""
  throw fail("invalidArgument", {
    message: `redundancy ${textOfPolicy(policy)} needs ${needed} devices; this store has ${gaining}${offline}`,
  })
}

/** Wider where the policies ask for it; the same record where they do not. Throws `conflict` during a transition. */
function widened(record: ControlRecord, bucketPolicies: readonly Policy[]): ControlRecord {
  const width = widthFor(record, bucketPolicies)
  return width > layoutOf(record.layout).width ? withNextLayout(record, width) : record
}

/**
 * Sets the store's policy. `bucketPolicies`: those that buckets chose for themselves. Throws
 * `invalidArgument` (too few devices), `conflict` (the layout must become wider while shards move).
 */
export function setPolicy(
  record: ControlRecord,
  choice: Policy | "automatic",
  bucketPolicies: readonly Policy[],
): ControlRecord {
  const policy = choice === "automatic" ? automaticFor(record, gainingOf(record)) : choice
  checkRoom(record, policy)
  const isPolicyAutomatic = choice === "automatic"
  if (isPolicyAutomatic === record.isPolicyAutomatic && isSamePolicy(policy, record.policy)) return record
  return widened({ ...withPolicy(record, record, policy), isPolicyAutomatic }, bucketPolicies)
}

/**
 * Makes room for the policy that a bucket chooses (undefined: the store's again), under a new policy
 * version. Throws as `setPolicy` does.
 */
export function admitBucketPolicy(
  record: ControlRecord,
  policy: Policy | undefined,
  bucketPolicies: readonly Policy[],
): ControlRecord {
  if (policy !== undefined) checkRoom(record, policy)
  const next = { ...record, policyVersion: nextPolicyVersion(record) }
  return widened(next, policy === undefined ? bucketPolicies : [...bucketPolicies, policy])
}

/**
 * Brings policy and width up to what the devices that are there allow: for when devices came back, or a
 * transition ended. The same record where nothing is to be done, or not yet.
 */
export function followDevices(record: ControlRecord, bucketPolicies: readonly Policy[]): ControlRecord {
  if (record.previousLayout !== undefined) return record
  const next = withMoreDevices(record, record)
  const isSame = isSamePolicy(next.policy, record.policy) && next.metaCopies === record.metaCopies
  return widened(isSame ? record : next, bucketPolicies)
}

/**
 * Drops the slots that no policy uses any more. `policiesInUse`: all that blocks lie under or buckets
 * chose. The same record where every slot is used, or shards still move.
 */
export function narrowLayout(record: ControlRecord, policiesInUse: readonly Policy[]): ControlRecord {
  if (record.previousLayout !== undefined) return record
  const width = widestOf([record.policy, ...policiesInUse])
  return width < layoutOf(record.layout).width ? withNextLayout(record, width) : record
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

/** What the policy means for the devices that there are: a sentence for `status`. */
export function policyInWords(record: ControlRecord): string {
  const [text, places] = [textOfPolicy(record.policy), placesOf(record)]
  const usual = automaticFor(record, places)
  const wanted = shardCount(record.policy)
  if (wanted > places) {
    return `${text} was chosen and needs ${plural(wanted, "device")}; with ${places} blocks are written with fewer shards until devices are added`
  }
  if (record.isPolicyAutomatic) {
    const isBehind = shardCount(usual) > wanted
    const soon = isBehind ? `; it becomes ${textOfPolicy(usual)} once all of them take part` : ""
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

/** Throws `invalidArgument` where so many places are too few for what was chosen for the store or a bucket. */
export function checkPlacesLeft(record: ControlRecord, bucketPolicies: readonly Policy[]): void {
  const chosen = [record.policy, ...bucketPolicies]
  const tooWide = chosen.find(policy => shardCount(policy) > placesOf(record))
  if (tooWide === undefined) return
  throw fail("invalidArgument", {
    message: `redundancy ${textOfPolicy(tooWide)} needs ${shardCount(tooWide)} devices, and ${placesOf(record)} would be left: add a device first, or set a narrower redundancy`,
  })
}

/** Block outcomes, decided: what a scan of a partition notes of a block, by what is known of it. Pure. */

interface BlockFacts {
  /** The index has the facts of the block, its policy among them. */
  readonly isDescribed: boolean
  /** The index has shards of the block that count as good. */
  readonly hasShards: boolean
  /** No row references it, and none will. */
  readonly isUnnamed: boolean
  /** The last visit could not read it. */
  readonly isUnreadable: boolean
  /** No read of any of its needles succeeds. */
  readonly isUnknown: boolean
  /** The last visit found nothing to do. */
  readonly isSettled: boolean
  /** Another process may still be writing it. */
  readonly isYoung: boolean
  /** A device that is being emptied has a shard of it. */
  readonly mustLeave: boolean
}

type BlockOutcome =
  /** The scan notes nothing. */
  | "nothing"
  /** Only a visit finds out what is to do. */
  | "visit"
  /** The index has no good shard, and no visit can supply one: the integrity audit counts it. */
  | "lost"
  /** Its writer may still be at work. */
  | "young"
  /** No visit can supply the shards that it lacks: the integrity audit counts it. */
  | "unrebuildable"
  /** It counts, with what it lacks. */
  | "counted"

/** The first question that applies decides: a block without rows needs no shards, and one that is not described has no policy. */
export function outcomeOf(facts: BlockFacts): BlockOutcome {
  const { isUnnamed, isDescribed, hasShards, isUnreadable, isUnknown, isSettled, isYoung, mustLeave } = facts
  if (isUnnamed) return mustLeave ? "visit" : "nothing"
  if (!isDescribed) return isSettled ? "nothing" : "visit"
  if (!hasShards) return isUnreadable ? "lost" : isSettled ? "nothing" : "visit"
  if (isYoung) return "young"
  return isUnreadable || (isUnknown && !mustLeave) ? "unrebuildable" : "counted"
}

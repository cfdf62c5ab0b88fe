/** Metadata: the contract between services and the engines that keep rows. */
export {
  command,
  commandOf,
  deletionsOf,
  query,
  queryOf,
  type Command,
  type CounterChange,
  type DecisionTime,
  type Metadata,
  type PayloadRow,
  type Query,
  type Touches,
  type UsageChange,
} from "./contract.js"
export { countedWrites } from "./counters.js"
export { DecisionClock } from "./decision-clock.js"
export { whyElsewhere } from "./converted-store-core.js"
export { plainCopy } from "./plain-copy.js"
export {
  incarnationAt,
  incarnationsSeen,
  POSITIONS_OF_INCARNATION,
  reservedThreads,
  seenOf,
  soleProcess,
  withFront,
  withoutFront,
  type Halt,
  type Incarnations,
  type LiveIncarnations,
  type SeenIncarnations,
  type ThreadIncarnations,
} from "./incarnations.js"
export type { CommandView, DecisionView, MetadataRow, QueryView, RowView } from "./views.js"
export { isOfGeneration } from "./guards.js"
export { RememberedByGeneration, type MayBeMarked } from "./remembered.js"

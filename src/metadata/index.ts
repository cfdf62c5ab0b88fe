/** Metadata: the contract between services and the engines that keep rows. */
export {
  command,
  query,
  type Command,
  type DecisionTime,
  type DecisionView,
  type Metadata,
  type MetadataRow,
  type Query,
  type QueryView,
  type RowView,
  type Touches,
} from "./contract.js"
export { soleProcess, type Incarnations } from "./incarnations.js"

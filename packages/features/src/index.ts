/** The features of the product, and the services of a store with them. */
export { reconciledSums, rescuedSums, type ReconciledSums, type RescuedSums } from "./row-sums.js"
export {
  beginsWhenSet,
  createServices,
  FEATURE_COMMAND_GROUPS,
  FEATURE_OPERATIONS,
  FEATURE_SETTING_COMMANDS,
  FEATURE_SETTINGS,
  FEATURE_ROW_JOBS,
  FEATURE_STATUS,
  featureStatusOf,
  installedFeatures,
  jobsOfFeatures,
  type BackedUpRows,
  type FormerVersion,
  type RescuedFeature,
  type RescuedOfAccounts,
  type RowsToRescue,
  type StoreServices,
} from "./store-services.js"

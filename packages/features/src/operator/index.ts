/** The operations of operators: how each is defined once, with its commands, and what a feature adds to them. */
export {
  CommandProblem,
  type Answering,
  itemsOf,
  type Calls,
  type OperatorCommand,
  type CommandOf,
  type CommandInput,
  type Given,
  type Shown,
  type Values,
} from "./command.js"
export { COMMAND_GROUPS } from "./command-groups.js"
export { JOB, JOBS, PAUSED_JOB, SET_THROTTLE, STARTED_JOB } from "./job-schemas.js"
export {
  startedJson,
  type FollowedWork,
  type ItemPage,
  type ItemWork,
  type RowJobs,
  type RowJobServices,
  type JobStarter,
  type NewStartedJob,
  type OpenWork,
  type StartedJob,
  type StartedProgress,
  type WholePage,
  type WholeWork,
} from "./jobs.js"
export { firstOf, PAGE_PARAMETERS, pageSize, pagesOf, timeOf } from "./listing.js"
export { objectPlace } from "./object-place.js"
export {
  action,
  operation,
  operationsOn,
  parseBody,
  withCommands,
  type LinkSigner,
  type Operation,
  type OperationInput,
  type RequiredAction,
  type ChangeScope,
} from "./operation.js"
export type { BucketSetting, OperatorPart, ProductFeature, SettingCommands, ShownSetting } from "./part.js"
export { actionOf, actionsOf, onBucket } from "./permissions.js"
export { bucketOfJob, ROWS_PER_SECOND, runOf, storedRequest } from "./row-jobs.js"
export type { BucketDocuments, OperatorServices } from "./services.js"
export { statusPart, type StatusLine, type StatusPart } from "./status.js"
export { BUCKET_SETTING, BUCKET_SETTINGS, SET_SETTING, SETTING_BYTES_MAX } from "./setting-schemas.js"

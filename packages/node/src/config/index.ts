/** Configuration: the settings, and how flags, environment and file become one checked result. */
export {
  CLIENT_ENVIRONMENT,
  CONFIG_FILE_ENVIRONMENT,
  CONFIG_FILE_FLAG,
  fileVariableOf,
  SECRET_ENVIRONMENTS,
  SETTING_NAMES,
  SETTINGS,
  type SettingName,
} from "./settings.js"
export type { Setting } from "./setting.js"
export type {
  BucketGrant,
  ClusterConfig,
  ListenAddress,
  ProvidedBucket,
  ProvidedUser,
  PublicAccess,
  ServeConfig,
} from "./config.js"
export {
  clusterConfigOf,
  inspectConfig,
  policyOfNewStore,
  resolveConfig,
  settingsInEffect,
  withoutSettings,
} from "./config-core.js"
export { checkConfigFile, CONFIG_FILE_BYTES_MAX, FILE_SETTING_NAMES, parseConfigFile } from "./config-file.js"
export type {
  ConfigProblem,
  ConfigSources,
  Environment,
  FoundSetting,
  SettingAliases,
  SettingsInput,
} from "./setting-reader.js"
export { BOUNDS_OF } from "./profiles-core.js"
export { frontThreadsFor, type MachineSize } from "./front-threads-core.js"
export { parseDataFolders, parseDuration, parseListen } from "./config-values.js"

/** Swift: OpenStack's object storage protocol over this store's services. */
export { createSwiftHandler } from "./handler.js"
export { AccountReaper } from "./account-reaper.js"
export { ContainerSync } from "./container-sync.js"
export { swiftActions } from "./reseller-core.js"
export { NO_REALMS, parseRealms, type SyncRealms } from "./sync-core.js"

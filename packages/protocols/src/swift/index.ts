/** Swift: OpenStack's object storage protocol over this store's services. */
export { createSwiftHandler } from "./handler.js"
export { AccountReaper } from "./middleware/account-reaper.js"
export { ContainerSync } from "./middleware/container-sync.js"
export { swiftActions } from "./middleware/reseller-core.js"
export { NO_REALMS, parseRealms, type SyncRealms } from "./middleware/sync-core.js"

/** K2V items of buckets: the feature, its service and its limits. */
export { ITEMS, itemsOf } from "./feature.js"
export { itemRange, type ItemContent, type KeyBounds } from "./item-queries-core.js"
export type { Items, NewValue, SeenChanges } from "./items.js"
export { ITEM_LIMITS } from "./limits.js"

/** Swift: OpenStack's object storage protocol over this store's services. */
export { createSwiftHandler } from "./handler.js"

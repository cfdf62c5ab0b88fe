/** The features of the product, and the services of a store with them. */
export { createServices, type Services } from "./store-services.js"

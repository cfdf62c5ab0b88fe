/** The features of the product, and the services of a store with them. */
export {
  beginsWhenSet,
  createServices,
  FEATURES,
  type FeatureName,
  type RescuedFeature,
  type Services,
} from "./store-services.js"

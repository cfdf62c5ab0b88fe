/** Installs the features of the product, for tests of the core that decide without its services. */
import "@hayloft/features/index.js"
